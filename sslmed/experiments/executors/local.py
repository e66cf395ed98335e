"""The interface of executors, which run the jobs of an experiment, and the executor for this machine."""

import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import psutil


class Executor(Protocol):
    """Runs the jobs of a workflow.

    Attributes:
        jobs: Number of jobs in parallel.
        poll_seconds: Time between checks for results, in seconds.
    """

    poll_seconds: ClassVar[float]

    @property
    def jobs(self) -> int: ...  # noqa: D102 - see the class

    def arguments(self, work: Path) -> list[str]:
        """Return Snakemake's options for an experiment's directory."""

    def wait_for_others(self, work: Path) -> None:
        """Wait for jobs of an experiment that a killed command has left behind."""

    def stop(self, workflow: psutil.Process, work: Path) -> None:
        """End a workflow and its jobs, which resume later."""


@dataclass(frozen=True)
class Local:
    """Runs jobs on this machine.

    Attributes:
        jobs: Number of jobs in parallel.
        gpus: GPUs of each job; 0 where this machine has none.
        jobs_per_gpu: Largest number of jobs that share a GPU.
        fills: Whether finished runs decide on the number of jobs; see `filling`.
        why: Why there are so many jobs, in words.
    """

    jobs: int
    gpus: int = 0
    jobs_per_gpu: int = 1
    fills: bool = False
    why: str = ""
    poll_seconds: ClassVar[float] = 0.5

    def arguments(self, work: Path) -> list[str]:  # noqa: ARG002
        """Return Snakemake's options."""
        config = [f"gpus={self.gpus}", f"jobs_per_gpu={self.jobs_per_gpu}"]
        return ["--executor", "local", "--cores", str(self.jobs), "--config", *config]

    def wait_for_others(self, work: Path) -> None:
        """Return at once: `sole_command` has already waited for the lock of any earlier workflow."""

    def stop(self, workflow: psutil.Process, work: Path) -> None:  # noqa: ARG002
        """Interrupt the workflow and its jobs."""
        # Snakemake would let its jobs finish. Interrupting the jobs stops them at once. Where Ctrl-C is ignored, as in
        # the background of a script, they ignore it too.
        number = signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT
        for each in (*workflow.children(recursive=True), workflow):
            with suppress(psutil.NoSuchProcess):  # it may have received the terminal's interrupt already
                each.send_signal(number)
