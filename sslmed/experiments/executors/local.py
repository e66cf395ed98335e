"""Where the jobs of an experiment run: what a workflow asks of an executor, and the one for this machine."""

import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import psutil


class Executor(Protocol):
    """Runs the jobs of a workflow.

    Attributes:
        jobs: How many side by side.
        poll_seconds: How often to look for results.
    """

    poll_seconds: ClassVar[float]

    @property
    def jobs(self) -> int: ...  # noqa: D102 - see the class

    def arguments(self, work: Path) -> list[str]:
        """Snakemake's options for an experiment's directory."""

    def wait_for_others(self, work: Path) -> None:
        """Wait for jobs of an experiment that a killed command has left behind."""

    def stop(self, workflow: psutil.Process, work: Path) -> None:
        """End a workflow and its jobs, which resume later."""


@dataclass(frozen=True)
class Local:
    """This machine.

    Attributes:
        jobs: How many side by side.
    """

    jobs: int
    poll_seconds: ClassVar[float] = 0.5

    def arguments(self, work: Path) -> list[str]:  # noqa: ARG002
        """Snakemake's options."""
        return ["--cores", str(self.jobs)]

    def wait_for_others(self, work: Path) -> None:
        """Nothing to do: `sole_command` has waited, as a workflow that lives on holds its lock."""

    def stop(self, workflow: psutil.Process, work: Path) -> None:  # noqa: ARG002
        """Interrupt everything."""
        # Snakemake lets its jobs finish; interrupted themselves, they stop at once.
        for each in (*workflow.children(recursive=True), workflow):
            with suppress(psutil.NoSuchProcess):  # a terminal has interrupted it already
                each.send_signal(signal.SIGINT)
