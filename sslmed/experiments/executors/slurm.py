"""Jobs of an experiment on a SLURM cluster, by Snakemake's executor plugin: its options, and what is in the queue."""

import hashlib
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
import yaml

from sslmed.core.errors import UserError
from sslmed.core.extras import require
from sslmed.experiments.settings import config_root


@dataclass(frozen=True)
class Slurm:
    """A SLURM cluster whose nodes see the directories of this machine.

    Attributes:
        profile: Folder of a Snakemake profile, see `configs/cluster/slurm`.
        jobs: How many jobs in the queue at once.
        partition: The partition that the profile names, if it does.
        devices: GPUs of a job, where the partition has any.
    """

    profile: Path
    jobs: int
    partition: str | None = None
    devices: int = 1
    poll_seconds: ClassVar[float] = 5.0  # a shared file system has others to serve

    def arguments(self, work: Path) -> list[str]:
        """Snakemake's options for an experiment's directory."""
        arguments = ["--executor", "slurm", "--profile", str(self.profile), "--jobs", str(self.jobs)]
        # The plugin names a job by this and a random identifier, nothing of the run.
        arguments += ["--slurm-jobname-prefix", _prefix(work)]
        if not _has_accounting():
            arguments += ["--slurm-status-command", "squeue"]  # the plugin takes sacct wherever it is installed
        return [*arguments, "--config", f"gpus={self.devices if _has_gpus(self.partition) else 0}"]

    def wait_for_others(self, work: Path) -> None:
        """Wait for jobs that a killed command has left in the queue: run directories have one writer each.

        They hold file locks as well, but not every shared file system keeps these between nodes.
        """
        left = _queued(work)
        if not left:
            return
        print(
            f"{work}: waiting for {len(left)} jobs of an earlier command to leave the queue (an interrupt, or "
            f"`scancel {' '.join(left)}`, ends them; what they have done stays)",
            file=sys.stderr,
        )
        try:
            while _queued(work):
                time.sleep(self.poll_seconds)
        except KeyboardInterrupt:
            _cancel(work)
            raise

    def stop(self, workflow: psutil.Process, work: Path) -> None:
        """Cancel the jobs."""
        # Snakemake would cancel them itself, but only those it is not just asking for, and then sleep for minutes.
        for each in (*workflow.children(recursive=True), workflow):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        workflow.wait()
        _cancel(work)


def slurm(profile: Path | None, jobs: int | None, devices: int = 1) -> Slurm:
    """Make the executor from a profile and check that SLURM is here.

    Args:
        profile: Folder with a `config.yaml`; by default the one that comes with sslmed.
        jobs: How many jobs in the queue at once; the profile's by default.
        devices: GPUs per run.

    Raises:
        UserError: If the plugin is not installed, the profile cannot be used, or SLURM's commands are absent or fail.
    """
    require("snakemake_executor_plugin_slurm", extra="slurm", why="--executor slurm")
    absent = [name for name in ("sbatch", "squeue", "scancel", "sinfo", "scontrol") if shutil.which(name) is None]
    if absent:
        msg = f"--executor slurm needs SLURM's commands, and {', '.join(absent)} cannot be found: is this a login node?"
        raise UserError(msg)
    _ask("sinfo", "--noheader")  # before anything is generated: does the cluster answer?
    folder = config_root() / "cluster" / "slurm" if profile is None else profile.absolute()
    path = folder / "config.yaml"
    settings = _read(path)
    if jobs is None:
        jobs = settings.get("jobs")
    if not isinstance(jobs, int) or jobs < 1:
        raise UserError(f"{path}: jobs, how many may be in the queue at once, must be at least 1, got {jobs}")
    resources = settings.get("default-resources", {})
    if not isinstance(resources, dict):
        raise UserError(f"{path}: default-resources must be a mapping, as in `runtime: 1440`, got {resources}")
    return Slurm(folder, jobs, resources.get("slurm_partition"), devices)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; a profile is a folder with a config.yaml, e.g. {config_root()}/cluster/slurm"
        )
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise UserError(f"{path}: expected a mapping, got {settings}")
    return settings


def _prefix(work: Path) -> str:
    return "sslmed-" + hashlib.sha256(str(work).encode()).hexdigest()[:12]


def _queued(work: Path) -> list[str]:
    """Numbers of the jobs of an experiment that wait or run."""
    jobs = (line.split() for line in _ask("squeue", "--me", "--noheader", "--format=%i %j"))
    return [number for number, name in jobs if name.startswith(_prefix(work))]


def _cancel(work: Path) -> None:
    jobs = _queued(work)
    if jobs:
        _ask("scancel", *jobs)


def _has_accounting() -> bool:
    types = [line for line in _ask("scontrol", "show", "config") if line.startswith("AccountingStorageType")]
    return not any("none" in line for line in types)


def _has_gpus(partition: str | None) -> bool:
    """Whether nodes of a partition, by default the cluster's default one, which has an asterisk, have GPUs."""
    nodes = (line.split(maxsplit=1) for line in _ask("sinfo", "--noheader", "--format=%P %G"))
    chosen = None if partition is None else partition.split(",")
    return any(
        "gpu" in devices
        for name, devices in nodes
        if (name.endswith("*") if chosen is None else name.rstrip("*") in chosen)
    )


def _ask(*command: str) -> list[str]:
    """Lines that a command of SLURM prints.

    Raises:
        UserError: If it fails.
    """
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - commands of SLURM
    if answer.returncode != 0:
        raise UserError(f"{command[0]} failed: {' '.join(answer.stderr.split())}")
    return answer.stdout.splitlines()
