"""Chooses the arm of an experiment for new images and for a final model: by validation cases, never by test cases."""

import logging
from collections import defaultdict
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.core.text import count
from sslmed.evaluation.metrics import best_is
from sslmed.experiments.arms import Arm
from sslmed.exporting.model import load
from sslmed.exporting.trained_run import read_run

log = logging.getLogger(__name__)

RUNS = "*/fold*/seed*/*/results.json"
"""Fine-tuning runs in the directory of an experiment."""


def runs_of(path: Path) -> list[Path]:
    """Return all folds and seeds of an experiment's best arm, with the most labels; a run or an export as it is.

    Arms are compared by the mean score of the validation cases. Those that have fewer folds and seeds than another are
    left out, and so are null arms.

    Args:
        path: Directory of an experiment's runs, of a run, or of an export.

    Raises:
        UserError: If it is a folder of an experiment's tables.
    """
    if (path / "results.csv").is_file():
        raise UserError(
            f"{path}: holds tables; give the runs of this experiment, as runs/{path.parent.name}/{path.name}"
        )
    runs = [file.parent for file in sorted(path.glob(RUNS)) if ".old" not in str(file.relative_to(path))]
    runs = [run for run in runs if not Arm.parse(_arm(run, path)).is_null]
    if not runs:
        return [path]
    most = max(LabelAmount.from_path(run.name) for run in runs)
    arms: dict[str, list[Path]] = defaultdict(list)
    for run in runs:
        if LabelAmount.from_path(run.name) == most:
            arms[_arm(run, path)].append(run)
    number = max(map(len, arms.values()))
    compared = {arm: runs for arm, runs in arms.items() if len(runs) == number}
    metric = load(next(iter(compared.values()))[0]).task.monitor
    scores = {arm: sum(_validation_score(run, metric) for run in runs) / number for arm, runs in compared.items()}
    best = (max if best_is(metric) == "max" else min)(scores, key=lambda arm: scores[arm])
    others = ", ".join(f"{arm} {score:.3f}" for arm, score in scores.items() if arm != best)
    networks, score = count(number, "network"), f"{metric.removeprefix('val/')} is {scores[best]:.3f}"
    log.info(
        "%s: takes the %s of the arm %s with %s, whose %s in validation%s",
        *(path, networks, best, most.of_labels, score, others and f" ({others})"),
    )
    if fewer := sorted(arms.keys() - compared.keys()):
        log.info("%s: arms with fewer finished runs are not compared: %s", path, ", ".join(fewer))
    return compared[best]


def _arm(run: Path, experiment: Path) -> str:
    return run.relative_to(experiment).parts[0]


def _validation_score(path: Path, metric: str) -> float:
    """Return the score of the checkpoint that the run's test cases were scored with."""
    run = read_run(path)
    scores = [float(row[metric]) for row in run.results["validation"]]
    if run.settings["select"] == "last":
        return scores[-1]
    return max(scores) if best_is(metric) == "max" else min(scores)
