"""Memory, cores and instructions of the machine, and what a container or a cluster's job leaves of them."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from sslmed.core import machine
from sslmed.core.machine import available_memory, computes_bf16, total_memory, usable_cores

GIB = 2**30
OURS = "0::/job_7/step_0\n"
V1 = "9:name=systemd:/\n4:cpu,memory:/job_7/step_0\n0::/\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fma avx512f avx512_bf16", True), ("amx_bf16 amx_tile", True), ("avx2 avx512_bf16x", False), (None, False)],
)
def test_bf16_is_computed_where_the_processor_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: bool
) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")  # absent on other systems
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"model name\t: EPYC\nflags\t\t: fpu {flags}\nbogomips\t: 5190\n")
    assert computes_bf16() == expected


def _limit(group: Path, version: int, limit: str, used: int, **cached: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}[version]
    for name, value in zip(names, (limit, used), strict=True):
        (group / name).write_text(f"{value}\n")
    (group / "memory.stat").write_text("".join(f"{name} {value}\n" for name, value in {"anon": 1, **cached}.items()))


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 GiB, 50 of them free, without control groups so far; their folder."""
    memory = SimpleNamespace(total=64 * GIB, available=50 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "MOUNTED", tmp_path / "mounted")
    return tmp_path / "mounted"


def test_without_a_limit_it_is_that_of_the_machine(groups: Path) -> None:
    assert (total_memory(), available_memory()) == (64 * GIB, 50 * GIB)
    (groups.parent / "cgroup").write_text(OURS)
    _limit(groups / "job_7", 2, "max", 3 * GIB)
    assert (total_memory(), available_memory()) == (64 * GIB, 50 * GIB)
    (groups.parent / "cgroup").write_text(V1)
    _limit(groups / "memory", 1, str(2**63 - 4096), 3 * GIB)
    assert (total_memory(), available_memory()) == (64 * GIB, 50 * GIB)


def test_the_smallest_limit_of_all_groups_counts_and_copies_of_files_are_free(groups: Path) -> None:
    (groups.parent / "cgroup").write_text(OURS)
    _limit(groups / "job_7" / "step_0", 2, str(32 * GIB), 2 * GIB)
    _limit(groups / "job_7", 2, str(8 * GIB), 6 * GIB, inactive_file=GIB, active_file=2 * GIB, file_mapped=GIB)
    assert (total_memory(), available_memory()) == (8 * GIB, 5 * GIB)


@pytest.mark.parametrize("place", ["memory/job_7", "memory"])  # seen from outside, and from inside the container
def test_limits_of_the_first_version(groups: Path, place: str) -> None:
    (groups.parent / "cgroup").write_text(V1)
    _limit(groups / place, 1, str(8 * GIB), 6 * GIB, inactive_file=0, total_inactive_file=GIB, total_active_file=GIB)
    assert (total_memory(), available_memory()) == (8 * GIB, 4 * GIB)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"job_7/cpu.max": "max 100000\n"}, 6),
        ({"job_7/cpu.max": "150000 100000\n", "cpu.max": "max 100000\n"}, 2),
        ({"job_7/step_0/cpu.max": "20000 100000\n", "job_7/cpu.max": "400000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6),
        ({"cpu/job_7/cpu.cfs_quota_us": "300000\n", "cpu/job_7/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_a_quota_of_time_counts_as_cores(
    groups: Path, monkeypatch: pytest.MonkeyPatch, written: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(6), raising=False)
    assert usable_cores() == 6
    (groups.parent / "cgroup").write_text(OURS if "cpu.max" in "".join(written) else V1)
    for name, content in written.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(content)
    assert usable_cores() == expected
