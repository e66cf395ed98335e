"""What this process may use of its machine: memory, which a container or a cluster's job limits, and instructions."""

from collections.abc import Iterator
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
BF16 = {"avx512_bf16", "amx_bf16"}

GROUPS = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")
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


def _limits() -> Iterator[tuple[int, int]]:
    """Yield limit and use, in bytes, of the control groups that this process is in.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files; v1 has other names of files.
    """
    for line in GROUPS.read_text().splitlines() if GROUPS.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _limits_of(MOUNTED, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _limits_of(MOUNTED / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _limits_of(root: Path, path: str, limit: str, use: str) -> Iterator[tuple[int, int]]:
    group = root / path.lstrip("/")  # inside a container, its own group may be at the root instead
    for folder in (each for each in (group, *group.parents) if each.is_relative_to(root)):
        text = (folder / limit).read_text().strip() if (folder / limit).is_file() else "max"
        if text != "max":
            lines = map(str.split, (folder / "memory.stat").read_text().splitlines())
            statistics = {name: int(number) for name, number in lines}
            cache = sum(statistics.get(f"total_{name}", statistics.get(name, 0)) for name in CACHE)
            yield int(text), int((folder / use).read_text()) - cache
