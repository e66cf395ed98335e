"""What is wrong with a pretraining run, by its last validation pass: it learned nothing, or its features collapsed."""

from collections.abc import Mapping, Sequence

LEARNED = 0.98
"""Validation loss over the loss of guessing below which a task counts as learned: a few cases vary by a percent."""

LOWEST_SPREAD = 2**-8
"""Below it, features of cases differ by less than the rounding of bfloat16, in which networks are trained on GPUs."""

LOWEST_RANK = 2.0
"""Two directions of equal variation have this effective rank; below it, one direction has most of the variation."""

Row = Mapping[str, float | None]
"""One row of metrics.csv; `None` is not finite."""


def is_learned(loss: float | None, chance: float | None) -> bool:
    """Whether a validation loss is 2 % below that of guessing."""
    return loss is not None and chance is not None and loss < LEARNED * chance


def collapse(row: Row) -> str:
    """Describe how features have collapsed, in numbers; empty if they have not, or if it was not measured.

    They have if they hardly differ between cases, or differ along a line. In 120 to 1200 updates on phantoms, no task
    came near: the spread was 0.04 or more, and the rank 2.9 or more.
    """
    spread, rank = row.get("features/spread"), row.get("features/rank")
    if spread is None or rank is None or (spread >= LOWEST_SPREAD and rank >= LOWEST_RANK):
        return ""
    return f"spread {spread:.4f}, effective rank {rank:.1f}"


def handed_over(rows: Sequence[Row], *, best: bool) -> Row:
    """Return the validation pass of the weights that are handed over: the last one, or that of least loss."""
    losses = {loss: row for row in rows if (loss := row["val/loss"]) is not None}  # of equals, the later one
    return losses[min(losses)] if best and losses else rows[-1]


def warnings(row: Row) -> list[str]:
    """Return what a validation pass of a pretraining run warns of, in sentences."""
    found = []
    loss, chance = row["val/loss"], row["val/chance_loss"]
    if not is_learned(loss, chance):
        found.append(
            f"the task was not learned: the validation loss, {_number(loss)}, is not 2 % below guessing, "
            f"{_number(chance)}"
        )
    if numbers := collapse(row):
        found.append(f"the features have collapsed, so that they hardly tell cases apart: {numbers}")
    return found


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
