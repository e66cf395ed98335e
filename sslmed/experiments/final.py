"""The final model: after the comparison of arms, one of them is trained on all labels, for use."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.core.startup import importing
from sslmed.experiments.earlier import Plan, with_earlier
from sslmed.experiments.finished import is_done
from sslmed.experiments.grid import Grid
from sslmed.experiments.options import Options
from sslmed.experiments.places import Places
from sslmed.experiments.runs import Run

ALL_LABELS = LabelAmount(fraction=1.0)


def refuse_inapplicable(options: Options) -> None:
    """Refuse options that say something of a comparison and nothing of a final model.

    Raises:
        UserError: If one is given with --final.
    """
    given = [name for name in ("fractions", "labels", "folds", "check") if getattr(options, name) not in (None, False)]
    if options.final and given:
        raise UserError(f"--final trains on all labels and tests in no fold: leave out --{' and --'.join(given)}")
    if options.final and len(options.seeds or ()) > 1:
        raise UserError(f"--final trains one network: give one of --seeds {' '.join(map(str, options.seeds or ()))}")


def finished_comparison(grid: Grid, places: Places, plan: Plan) -> list[Run]:
    """List the finished fine-tuning runs, of this command's settings and data, that tables would show."""
    whole = with_earlier(grid, places, plan(grid, places), plan).runs
    return [run for run in whole if run.labels is not None and is_done(places.work, run)]


def final_grid(grid: Grid, work: Path, arms: Sequence[str] | None, compared: Sequence[Run]) -> Grid:
    """Return the grid of the final model: all labels, one seed, and the arm that is named or is best in validation.

    The arm is chosen as `sslmed predict` chooses it.

    Args:
        grid: Of the comparison.
        work: Directory of the experiment.
        arms: Arms that are named, if any are.
        compared: Result of `finished_comparison`.

    Raises:
        UserError: If several arms are named, or none, and there are no finished runs to choose by.
    """
    if arms is not None and len(grid.arms) > 1:
        raise UserError(
            f"--final trains one arm, got {', '.join(grid.arms)}: name one, or none to take the best so far"
        )
    arm = grid.arms[0] if arms is not None else _best_arm(work, compared)
    return replace(grid, arms=(arm,), labels=(ALL_LABELS,), folds=(0,), seeds=grid.seeds[:1], final=True)


def _best_arm(work: Path, compared: Sequence[Run]) -> str:
    with importing():
        from sslmed.experiments.best_arm import best_arm

    return best_arm(work, compared, to_train=True)[0].arm
