"""Runs of a plan without usable results: which, why, and where to read more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.experiments.plan import Run
from sslmed.experiments.workflow import has_results


@dataclass(frozen=True)
class Failure:
    """Says why a run is missing.

    Attributes:
        run: The run's name.
        log: Where it wrote what it did.
        reason: The log's last line, or what is wrong with its results.
    """

    run: str
    log: Path
    reason: str

    def __str__(self) -> str:
        """Return one line: log and reason."""
        return f"{self.log}: {self.reason}"


def failures(work: Path, runs: Sequence[Run], unusable: Mapping[Path, str]) -> list[Failure]:
    """Explain each run without usable results.

    Args:
        work: The experiment's directory.
        runs: The plan.
        unusable: Directories of finished runs whose results cannot be used -> why.
    """
    return [
        Failure(run.name, work / run.name / "run.log", unusable.get(work / run.name) or _reason(work, run))
        for run in runs
        if not has_results(work, run) or work / run.name in unusable
    ]


def _reason(work: Path, run: Run) -> str:
    log = work / run.name / "run.log"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    if lines:
        return lines[-1]
    pretrained = run.needs is None or (work / run.needs / "results.json").is_file()
    return "not started" if pretrained else f"not started, as {run.needs} has no results"
