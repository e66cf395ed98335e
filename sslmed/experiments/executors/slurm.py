"""Jobs of an experiment on a SLURM cluster, by Snakemake's executor plugin: its options and its queue."""

import hashlib
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from sslmed.core.errors import UserError
from sslmed.core.extras import require
from sslmed.core.interrupts import Interrupted
from sslmed.core.text import count
from sslmed.core.yaml_files import read_mapping
from sslmed.experiments.configs import config_root


@dataclass(frozen=True)
class Slurm:
    """Runs jobs on a SLURM cluster whose nodes share the directories of this machine.

    Attributes:
        profile: Folder of a Snakemake profile; see `configs/cluster/slurm`.
        jobs: Largest number of jobs in the queue.
        partition: Partition in the profile, if it names one.
        devices: GPUs per job, where the partition has any.
    """

    profile: Path
    jobs: int
    partition: str | None = None
    devices: int = 1
    poll_seconds: ClassVar[float] = 5.0  # spares the shared file system

    def arguments(self, work: Path) -> list[str]:
        """Return Snakemake's options for an experiment's directory."""
        arguments = ["--executor", "slurm", "--profile", str(self.profile), "--jobs", str(self.jobs)]
        # The plugin's job names are this prefix and a random identifier, without the name of the run.
        arguments += ["--slurm-jobname-prefix", _prefix(work)]
        if not _has_accounting():
            arguments += ["--slurm-status-command", "squeue"]  # the plugin would use sacct if it is installed
        return [*arguments, "--config", f"gpus={self.devices if _has_gpus(self.partition) else 0}"]

    def wait_for_others(self, work: Path) -> None:
        """Wait for jobs that a killed command left in the queue, as a run directory must have one writer.

        Jobs also hold file locks, but some shared file systems do not enforce these between nodes.
        """
        left = _queued(work)
        if not left:
            return
        print(
            f"{work}: waiting for {count(len(left), 'job')} of an earlier command to leave the queue (an interrupt, or "
            f"`scancel {' '.join(left)}`, ends them; finished work stays)",
            file=sys.stderr,
        )
        try:
            while _queued(work):
                time.sleep(self.poll_seconds)
        except (Interrupted, KeyboardInterrupt):
            _cancel(work)
            raise

    def stop(self, workflow: psutil.Process, work: Path) -> None:
        """Cancel the jobs."""
        # Snakemake would cancel jobs itself, except those that it is polling, and then sleep for minutes.
        for each in (*workflow.children(recursive=True), workflow):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        workflow.wait()
        _cancel(work)


def slurm(profile: Path | None, jobs: int | None, devices: int = 1, *, dry_run: bool = False) -> Slurm:
    """Make the executor from a profile and check that SLURM is available.

    Args:
        profile: Folder with a `config.yaml`; by default that of sslmed.
        jobs: Largest number of jobs in the queue; by default that of the profile.
        devices: GPUs per run.
        dry_run: Whether no job will be submitted. A cluster that cannot be reached is no error then, but said.

    Raises:
        UserError: If the plugin is not installed, the profile is not valid, or SLURM's commands are absent or fail.
    """
    require("snakemake_executor_plugin_slurm", extra="slurm", why="--executor slurm")
    try:
        _check_cluster()  # here, before data is generated
    except UserError as error:
        if not dry_run:
            raise
        print(f"{error}; the dry run goes on without it", file=sys.stderr)
    folder = config_root() / "cluster" / "slurm" if profile is None else profile.absolute()
    path = folder / "config.yaml"
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; a profile is a folder with a config.yaml, e.g. {config_root()}/cluster/slurm"
        )
    settings = read_mapping(path)
    if jobs is None:
        jobs = settings.get("jobs")
    if not isinstance(jobs, int) or jobs < 1:
        raise UserError(f"{path}: jobs, the largest number in the queue, must be at least 1, got {jobs}")
    resources = settings.get("default-resources", {})
    if not isinstance(resources, dict):
        raise UserError(f"{path}: default-resources must be a mapping, as in `runtime: 1440`, got {resources}")
    return Slurm(folder, jobs, resources.get("slurm_partition"), devices)


def _check_cluster() -> None:
    absent = [name for name in ("sbatch", "squeue", "scancel", "sinfo", "scontrol") if shutil.which(name) is None]
    if absent:
        raise UserError(
            f"--executor slurm needs SLURM's commands, and {', '.join(absent)} cannot be found: is this a login node?"
        )
    _ask("sinfo", "--noheader")


def _prefix(work: Path) -> str:
    return "sslmed-" + hashlib.sha256(str(work).encode()).hexdigest()[:12]


def _queued(work: Path) -> list[str]:
    """List the ids of an experiment's jobs that wait or run."""
    jobs = (line.split(maxsplit=1) for line in _ask("squeue", "--me", "--noheader", "--format=%i %j"))
    return [number for number, name in jobs if name.startswith(_prefix(work))]


def _cancel(work: Path) -> None:
    jobs = _queued(work)
    if jobs:
        _ask("scancel", *jobs)


def _has_accounting() -> bool:
    lines = _ask("scontrol", "show", "config")
    return any(line.startswith("AccountingStorageType") and "slurmdbd" in line for line in lines)


def _has_gpus(partition: str | None) -> bool:
    """Whether a partition has GPUs. By default it is the cluster's default partition, which has an asterisk."""
    nodes = (line.split(maxsplit=1) for line in _ask("sinfo", "--noheader", "--format=%P %G"))
    chosen = None if partition is None else partition.split(",")
    return any(
        "gpu" in devices
        for name, devices in nodes
        if (name.endswith("*") if chosen is None else name.rstrip("*") in chosen)
    )


def _ask(*command: str) -> list[str]:
    """Run a command of SLURM and return the lines that it prints.

    Raises:
        UserError: If the command fails.
    """
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - commands of SLURM
    if answer.returncode != 0:
        raise UserError(
            f"--executor slurm needs a cluster that answers here, and {command[0]} failed "
            f"({' '.join(answer.stderr.split())}): work on a login node, where `sinfo` lists the partitions"
        )
    return answer.stdout.splitlines()
