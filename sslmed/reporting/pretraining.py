"""Pretraining that learned nothing or collapsed: the arm's scores are then no evidence for or against its task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sslmed.evaluation.learned import Row, collapse, handed_over, is_learned
from sslmed.experiments.arms import Arm
from sslmed.experiments.runs import Run

RULE = "its validation loss is not 2 % below that of guessing"


@dataclass(frozen=True)
class Unlearned:
    """Describes a pretraining run that has not learned its task.

    Attributes:
        arm: Name of the arm.
        fold: Number of the fold.
        loss: Validation loss of the weights that were handed over; `None` if it was not finite.
        chance: Loss of guessing.
    """

    arm: str
    fold: int
    loss: float | None
    chance: float | None

    def __str__(self) -> str:
        """Return `rpl in fold 1 (3.72, guessing 3.26)`."""
        return f"{self.arm} in fold {self.fold} ({_loss(self.loss)}, guessing {_loss(self.chance)})"


def unlearned(records: Mapping[Run, Mapping[str, Any]], runs: Sequence[Run]) -> list[Unlearned]:
    """Find the pretraining runs whose validation loss is no better than guessing.

    Args:
        records: Finished pretraining runs -> their `results.json`.
        runs: The plan, which says whether fine-tuning starts from the last or the best checkpoint.
    """
    found = []
    for run, row in _handed_over(records, runs).items():
        loss, chance = row.get("val/loss"), records[run]["chance_loss"]
        if not is_learned(loss, chance):
            found.append(Unlearned(run.arm, run.fold, loss, chance))
    return found


def collapsed(records: Mapping[Run, Mapping[str, Any]], runs: Sequence[Run]) -> list[str]:
    """Name the runs whose features have collapsed: `vicreg in fold 1 (spread 0.0012, effective rank 3.1)`."""
    found = {run: collapse(row) for run, row in _handed_over(records, runs).items()}
    return [f"{run.arm} in fold {run.fold} ({numbers})" for run, numbers in found.items() if numbers]


def sentences(records: Mapping[Run, Mapping[str, Any]], runs: Sequence[Run], *, losses: bool) -> list[str]:
    """Say what is wrong with pretraining, in a sentence for each kind, with or without the losses."""
    no_task, no_features = unlearned(records, runs), collapsed(records, runs)
    lines = [in_one_line(no_task, losses=losses)] if no_task else []
    return lines + ([f"Features of pretraining have collapsed: {', '.join(no_features)}."] if no_features else [])


def _handed_over(records: Mapping[Run, Mapping[str, Any]], runs: Sequence[Run]) -> dict[Run, Row]:
    """Return the validation pass of the weights that fine-tuning starts from: the last one, or that of least loss."""
    best = {run.needs for run in runs if any(argument.endswith("/best.ckpt") for argument in run.arguments)}
    return {run: handed_over(record["validation"], best=run.name in best) for run, record in records.items()}


def pools(runs: Iterable[Run]) -> list[str]:
    """Name the external pools that runs were pretrained on."""
    external = [run for run in runs if run.labels is None and Arm.parse(run.arm).external]
    stores = {Path(run.values("--data.store")[0]).name for run in external}
    return sorted(name.removeprefix("pool-").rpartition("-")[0] for name in stores)


def labelled_sources(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Describe the labelled datasets of supervised pretraining, by the `results.json` of runs: `chaos, 36 cases`."""
    images = {record["source"]: record["images"] for record in records if record.get("source") and "images" in record}
    return [f"{source}, {counts['used'] + counts['for validation']} cases" for source, counts in images.items()]


def in_one_line(found: Sequence[Unlearned], *, losses: bool) -> str:
    """Return a sentence that names arms and folds, with or without losses and the rule."""
    names = []
    for arm, of_arm in groupby(found, key=lambda each: each.arm):
        runs = [*of_arm]
        ends = f"{', '.join(_loss(run.loss) for run in runs)}; guessing {_loss(runs[0].chance)}"
        folds = f"fold{'s' * (len(runs) > 1)} {', '.join(str(run.fold) for run in runs)}"
        names.append(f"{arm} ({folds}: {ends})" if losses else f"{arm} ({folds})")
    return f"Pretraining did not learn its task{f' ({RULE})' * losses}: {', '.join(names)}."


def _loss(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
