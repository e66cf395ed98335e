"""Chooses the arm of an experiment for new images and for a final model: by validation cases, never by test cases."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from sslmed.core.errors import UserError
from sslmed.core.text import count
from sslmed.evaluation.metrics import best_is
from sslmed.experiments.arms import Arm
from sslmed.experiments.finished import finished_runs
from sslmed.experiments.runs import Run
from sslmed.exporting.model import load
from sslmed.exporting.trained_run import read_run

log = logging.getLogger(__name__)


def runs_of(path: Path) -> list[Path]:
    """Return all folds and seeds of an experiment's best arm, with the most labels; a run or an export as it is.

    Raises:
        UserError: If it is a folder of an experiment's tables, or no arm can be chosen.
    """
    if not any((path / name).is_file() for name in ("plan.json", "results.csv")):
        return [path]
    return [path / run.name for run in best_arm(path, finished_runs(path))]


def best_arm(work: Path, runs: Sequence[Run], *, to_train: bool = False) -> list[Run]:
    """Return the runs of the best arm, with the most labels, among finished runs with the settings and data of today.

    Arms are compared by the mean score of the validation cases of the same folds and seeds. Those that do not have all
    of them are left out, and so are null arms.

    Args:
        work: The experiment's directory.
        runs: Its finished runs.
        to_train: Whether another network of the arm is to be trained, rather than these used; only the log says it.

    Raises:
        UserError: If there is none.
    """
    runs = [run for run in runs if not Arm.parse(run.arm).is_null]
    if not runs:
        raise UserError(
            f"{work}: has no finished runs with these settings and data by which an arm could be chosen: first run the "
            "same `sslmed reproduce` without --final, or name one by --arms, or give the directory of one run"
        )
    most = max(run.labels for run in runs if run.labels is not None)
    arms: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.labels == most:
            arms[run.arm].append(run)
    cells = {arm: {(run.fold, run.seed) for run in of_arm} for arm, of_arm in arms.items()}
    common = max(cells.values(), key=len)
    compared = {arm: of_arm for arm, of_arm in arms.items() if cells[arm] == common}
    metric = load(work / next(iter(compared.values()))[0].name).task.monitor
    scores = {
        arm: fmean(_validation_score(work / run.name, metric) for run in of_arm) for arm, of_arm in compared.items()
    }
    best = (max if best_is(metric) == "max" else min)(scores, key=lambda arm: scores[arm])
    others = ", ".join(f"{arm} {score:.3f}" for arm, score in scores.items() if arm != best)
    taken = f"takes the {count(len(common), 'network')} of the arm {best} with {most.of_labels}"
    trained = f"trains the arm {best}, the best with {most.of_labels}"
    log.info(
        "%s: %s, whose %s in validation is %.3f%s",
        *(work, trained if to_train else taken),
        *(metric.removeprefix("val/"), scores[best], others and f" ({others})"),
    )
    tested = [read_run(work / run.name).results["metrics"].get(metric.removeprefix("val/")) for run in compared[best]]
    if not to_train and (known := [score for score in tested if score is not None]):
        log.info("%s: in their test cases, which had no part in this choice, it is %.3f", work, fmean(known))
    if left_out := ", ".join(sorted({run.arm for run in runs} - compared.keys())):
        log.info("%s: arms without finished runs of all these folds, seeds and labels are left out: %s", work, left_out)
    return compared[best]


def _validation_score(path: Path, metric: str) -> float:
    """Return the score of the checkpoint that the run's test cases were scored with."""
    run = read_run(path)
    scores = [float(row[metric]) for row in run.results["validation"]]
    if run.settings["select"] == "last":
        return scores[-1]
    return max(scores) if best_is(metric) == "max" else min(scores)
