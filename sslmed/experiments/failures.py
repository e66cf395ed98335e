"""Runs of a plan without usable results: which, why, and where to read more."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.experiments.finished import has_results, read_results
from sslmed.experiments.runs import Run

PROGRESS = re.compile(r"\S+ \S+ (INFO|WARNING) ")
"""Beginning of a line of a log that says nothing of a failure."""


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
    """Explain each run without usable results; `unusable` says what is wrong with finished ones, by their directory."""
    reasons = {run: unusable.get(work / run.name) or _reason(work, run) for run in runs}
    return [Failure(run.name, work / run.name / "run.log", reason) for run, reason in reasons.items() if reason]


def report_failures(work: Path, runs: Sequence[Run], unusable: Mapping[Path, str]) -> bool:
    """Print what `failures` finds, and return whether it is anything."""
    failed = failures(work, runs, unusable)
    for failure in failed:
        print(f"failed: {failure}", file=sys.stderr)
    return bool(failed)


def _reason(work: Path, run: Run) -> str:
    """Say why a run has no results; nothing if it has."""
    if has_results(work, run):
        return "" if run.labels is not None else _damage(work, run)
    if run.needs is not None and not (work / run.needs / "results.json").is_file():
        return f"not started, as {run.needs} failed"
    log = work / run.name / "run.log"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    if lines and PROGRESS.match(lines[-1]):
        return f"ended without saying why, as if killed, e.g. for lack of memory; its last line: {lines[-1]}"
    return lines[-1] if lines else "not started"


def _damage(work: Path, run: Run) -> str:
    """Say what is wrong with the results of a pretraining run; nothing if they are fine."""
    try:
        absent = {"validation", "val_loss", "chance_loss"}.difference(read_results(work, run))
    except DataError as error:
        return str(error)
    names = ", ".join(sorted(absent))
    return f"results.json has no {names}; remove the run, and the same command makes it again" if absent else ""
