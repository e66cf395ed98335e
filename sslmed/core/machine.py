"""What this process may use of its machine: memory, cores, instructions. A container or a cluster's job limits them."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
BF16 = {"avx512_bf16", "amx_bf16"}

GROUPS = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")
MEMORY = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}
"""Files with the limit and the use of memory, by version of control groups."""

TIME = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}
"""Files with a number of microseconds of all cores together, and the period that they are for."""

UNLIMITED = "max"
CACHE = ("inactive_file", "active_file")
"""Memory of a group that the system takes back when it is needed: copies of files."""


def computes_bf16() -> bool:
    """Whether this machine's processor has instructions for bfloat16, as Linux lists them. Others emulate it slowly."""
    return CPUINFO.is_file() and not BF16.isdisjoint(CPUINFO.read_text().split())


def total_memory() -> int:
    """Return the memory of the machine, or that of the container or job if it is limited to less, in bytes."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _limits())])


def available_memory() -> int:
    """Return the memory that processes can still get here, in bytes."""
    return min([psutil.virtual_memory().available, *(limit - used for limit, used in _limits())])


def usable_cores() -> int:
    """Return the number of cores this process may use; in a container or a cluster's job fewer than the machine has."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([allowed, *(max(1, math.ceil(quota)) for quota in _quotas())])


def _limits() -> Iterator[tuple[int, int]]:
    """Yield limit and use of memory in bytes, of the control groups that limit it.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files; v1 has other names of files.
    """
    for version, group in _groups("memory"):
        limit, use = MEMORY[version]
        text = (group / limit).read_text().strip() if (group / limit).is_file() else UNLIMITED
        if text != UNLIMITED:
            lines = map(str.split, (group / "memory.stat").read_text().splitlines())
            statistics = {name: int(number) for name, number in lines}
            cache = sum(statistics.get(f"total_{name}", statistics.get(name, 0)) for name in CACHE)
            yield int(text), int((group / use).read_text()) - cache


def _quotas() -> Iterator[float]:
    """Yield how many cores' time the control groups that limit it give.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files; v1 has a file for each number.
    """
    for version, group in _groups("cpu"):
        files = [group / name for name in TIME[version]]
        words = " ".join(file.read_text() for file in files if file.is_file()).split()
        if len(words) > 1 and words[0] not in (UNLIMITED, "-1"):
            yield int(words[0]) / int(words[1])


def _groups(controller: str) -> Iterator[tuple[int, Path]]:
    """Yield version and folder of the control groups that this process is in, and of those around them."""
    for line in GROUPS.read_text().splitlines() if GROUPS.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        version, root = (1, MOUNTED / controller) if controllers else (2, MOUNTED)
        group = root / path.lstrip("/")  # inside a container, its own group may be at the root instead
        yield from ((version, each) for each in (group, *group.parents) if each.is_relative_to(root))
