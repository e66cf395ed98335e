"""The whole experiment on a real SLURM: its scheduler kills a job; its command is killed, and interrupted."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import TINY, start, work_of
from slurm_on_loopback import absent_programs, ask, slurm_on_loopback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(
        bool(absent_programs()), reason=f"needs Debian's slurm-wlm and munge: no {', '.join(absent_programs())}"
    ),
]

PROFILE = """\
jobs: 2
retries: 2
latency-wait: 30
slurm-init-seconds-before-status-checks: 1
default-resources: {runtime: 10, mem_mb: 3000, cpus_per_task: 1}
"""
LONGER = "data: {init_args: {batch_size: 3, updates: 60, validations: 30}}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm_on_loopback(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile, and a preset whose pretraining is long enough to be killed between two checkpoints."""
    folder = tmp_path_factory.mktemp("settings")
    shutil.copytree(TINY, folder / "tiny")
    (folder / "tiny" / "pretrain.yaml").write_text(LONGER)
    (folder / "config.yaml").write_text(PROFILE)
    return folder


OPTIONS = ("--arms", "baseline", "rotation", "--fractions", "1", "--preset")


def _on_cluster(folder: Path, settings: Path, cluster: dict[str, str]) -> subprocess.Popen[bytes]:
    options = (*OPTIONS, str(settings / "tiny"), "--executor", "slurm", "--profile", str(settings))
    return start(folder, *options, **cluster)


def _wait_for(condition: Callable[[], object], folder: Path) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, (folder / "output").read_text()
        time.sleep(0.1)


def _running(cluster: dict[str, str], rule: str) -> list[str]:
    lines = ask(cluster, "squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
    return [line.split()[0] for line in lines if line.endswith(f"rule_{rule}")]


def test_a_job_that_the_scheduler_kills_goes_on_from_its_checkpoint_to_the_same_figure(
    tmp_path: Path, settings: Path, cluster: dict[str, str]
) -> None:
    command = _on_cluster(tmp_path / "cluster", settings, cluster)
    pretraining = work_of(tmp_path / "cluster") / "rotation" / "fold0" / "pretrain"
    _wait_for((pretraining / "checkpoints" / "last.ckpt").exists, tmp_path / "cluster")
    (job,) = _running(cluster, "rotation_fold0")
    ask(cluster, "scancel", job)
    assert command.wait(timeout=400) == 0, (tmp_path / "cluster" / "output").read_text()
    assert "resuming from" in (pretraining / "run.log").read_text()
    assert (pretraining / "run.log").read_text().count("INFO done") == 1
    assert start(tmp_path / "local", *OPTIONS, str(settings / "tiny")).wait(timeout=400) == 0
    results = Path("out", "fig3", "phantom-tiny")
    assert (tmp_path / "cluster" / results / "fig3.png").is_file()
    for name in ("results.csv", "cases.csv", "summary.csv"):
        assert (tmp_path / "cluster" / results / name).read_bytes() == (
            tmp_path / "local" / results / name
        ).read_bytes()


def test_jobs_of_a_killed_command_are_waited_for_and_an_interrupt_cancels_them(
    tmp_path: Path, settings: Path, cluster: dict[str, str]
) -> None:
    killed = _on_cluster(tmp_path, settings, cluster)
    _wait_for(lambda: _running(cluster, "baseline_fold0"), tmp_path)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    left = ask(cluster, "squeue", "--noheader", "--format=%i")
    following = _on_cluster(tmp_path, settings, cluster)
    _wait_for(lambda: "of an earlier command" in (tmp_path / "output").read_text(), tmp_path)
    assert ask(cluster, "squeue", "--noheader", "--format=%i") == left
    following.send_signal(signal.SIGINT)
    assert following.wait(timeout=30) == 130
    _wait_for(lambda: not ask(cluster, "squeue", "--noheader"), tmp_path)
    assert not list(work_of(tmp_path).rglob("results.json"))
