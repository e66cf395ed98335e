"""Which runs of an experiment are finished, and which are stale, as their settings or data have changed since."""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from itertools import count as counting
from pathlib import Path
from typing import Any

import yaml

from sslmed.core.errors import DataError
from sslmed.core.text import count, shorten
from sslmed.core.yaml_files import find_setting
from sslmed.experiments.runs import Run, plan_of
from sslmed.training.run_directory import RunDirectory


def has_results(work: Path, run: Run) -> bool:
    """Whether the directory of a run has results."""
    return (work / run.name / "results.json").is_file()


def read_results(work: Path, run: Run) -> dict[str, Any]:
    """Read the results of a finished run.

    Raises:
        DataError: If the file cannot be read.
    """
    path = work / run.name / "results.json"
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError([f"{path}: {error}; remove the run, and the same command makes it again"]) from error
    return results


def _stale_because(work: Path, run: Run) -> str | None:
    """Return why the run in a run's directory is stale; `None` if it is not, or there is none.

    It is if it has other settings or data, or started from such a run, or if its settings are not known, as somebody
    removed its configuration. An unfinished run that was moved is stale too: its checkpoints contain old paths.
    """
    directory = RunDirectory(work / run.name)
    if not directory.config.is_file():
        return "config.yaml is absent" if has_results(work, run) else None
    config: Any = None  # damaged
    with suppress(yaml.YAMLError):
        config = yaml.load(directory.config.read_text(encoding="utf-8"), yaml.CSafeLoader)
    if find_setting([config], "labels.key", None) != run.key:
        return "settings have changed"
    if run.data is not None and run.data != directory.read_data().get("fingerprint"):
        return "the data have changed"
    moved = not has_results(work, run) and Path(config["run_dir"]) != work / run.name
    return "unfinished runs have been moved" if moved else None


def is_done(work: Path, run: Run) -> bool:
    """Whether a run has results of the current configuration."""
    return has_results(work, run) and _stale_because(work, run) is None


def finished_runs(work: Path) -> list[Run]:
    """List the fine-tuning runs that the tables of an experiment are made of: stale ones and copies are not.

    Raises:
        UserError: If there is no experiment.
    """
    return [run for run in plan_of(work) if run.labels is not None and is_done(work, run)]


def stale_runs(work: Path, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of which a directory has one with other settings or on other data, by what has changed."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        reason = _stale_because(work, run)
        if reason is not None:
            found[reason].append(run)
    return found


def set_stale_runs_aside(work: Path, runs: Sequence[Run]) -> None:
    """Rename directories of runs with other settings or on other data; nothing is deleted."""
    for reason, stale in stale_runs(work, runs).items():
        renamed = []
        for run in stale:
            directory = work / run.name
            numbered = (directory.with_name(f"{directory.name}.old{n}") for n in counting(1))
            place = next(path for path in numbered if not path.exists())
            with RunDirectory(directory).locked(wait=True):  # an orphan of a killed workflow may still write it
                directory.rename(place)
            renamed.append(f"{run.name} is now {place.name}")
        print(f"{work}: {reason}; sets {count(len(renamed), 'old run')} aside: {shorten(renamed)}", file=sys.stderr)
