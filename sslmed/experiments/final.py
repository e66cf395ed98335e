"""The final model: after the comparison of arms, one of them is trained on all labels, for use."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.files import write_text
from sslmed.core.label_amount import LabelAmount
from sslmed.core.startup import importing
from sslmed.core.tables import read_table
from sslmed.core.text import count
from sslmed.experiments.arms import Arm
from sslmed.experiments.earlier import Plan, with_earlier
from sslmed.experiments.failures import report_failures
from sslmed.experiments.finished import is_done, read_results
from sslmed.experiments.grid import Grid
from sslmed.experiments.options import Options
from sslmed.experiments.places import Places
from sslmed.experiments.runs import Run
from sslmed.training.run_directory import RunDirectory

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


def conclude(work: Path, runs: Sequence[Run], compared: Sequence[Run], out: Path, metric: str) -> int:
    """Say where the final model is and what to expect of it, by the experiment's tables and its main metric.

    Args:
        work: Directory of the experiment.
        runs: The final model's.
        compared: Result of `finished_comparison`, with the settings and data of the final model.
        out: Folder of the tables.
        metric: The main metric.

    Returns:
        0 if it is done, 1 if a run failed.
    """
    if report_failures(work, runs, {}):
        return 1
    directory = RunDirectory(work / runs[-1].name)
    is_pretrained = Arm.parse(runs[-1].arm).is_pretrained
    print(f"{directory.path}: the final model, trained on all labels; no case is left to test it on")
    for warning in (each for run in runs[:-1] for each in read_results(work, run).get("warnings", ())):
        print(f"in its pretraining, {warning}", file=sys.stderr)
    expected = _expected(out / "summary.csv", runs[-1].arm)
    current = Counter(run.labels for run in compared if run.arm == runs[-1].arm)
    if expected and max(current.values(), default=0) < expected[0]["n_runs"]:
        directory.expected.unlink(missing_ok=True)
        print(
            f"what to expect is not known: settings or data have changed since the runs in {out / 'summary.csv'}; "
            "the command without --final compares again",
            file=sys.stderr,
        )
        expected = []
    if expected:
        write_text(directory.expected, json.dumps(expected, indent=1) + "\n")
    for score in (each for each in expected if each["metric"] == metric):
        low, high = score["ci_low"], score["ci_high"]
        ends = "" if low is None or high is None else f"{low:.3f} to {high:.3f}; "
        print(
            f"what to expect: the cross-validation of this arm with {count(score['n_labels'], 'label')} found {metric} "
            f"{score['mean']:.3f} ({ends}{count(score['n_runs'], 'run')})"
        )
        if is_pretrained:
            print(_benefit(score))
    print(f"next: sslmed predict --model {directory.path} --images SCANS --out MASKS")
    print(f"or, to give it to others: sslmed export {directory.path} OUT")
    return 0


def _benefit(score: Mapping[str, Any]) -> str:
    """Say what the cross-validation found of pretraining, which the score alone does not show."""
    if score["diff"] is None:
        return "whether its pretraining helps is not known: these runs do not tell, or the baseline was not among them"
    low, high = score["diff_low"], score["diff_high"]
    ends = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
    return f"difference to training from scratch: {score['diff']:+.3f}{ends}"


def _expected(summary: Path, arm: str) -> list[dict[str, Any]]:
    """Read what the cross-validation found of the arm with most labels, alone and beside the baseline.

    Nothing if there was none, and no difference if it has too few runs or no baseline.

    An infinite end of an interval is `None`, as JSON has no infinity.
    """
    if not summary.is_file():
        return []
    table = read_table(summary)
    table = table[table["arm"] == arm]
    table = table[table["label_fraction"] == table["label_fraction"].max()]
    columns = ["metric", "mean", "ci_low", "ci_high", "diff", "diff_low", "diff_high", "n_labels", "n_runs", "n_cases"]
    rows: list[dict[str, Any]] = json.loads(table.reindex(columns=columns).to_json(orient="records"))
    return rows
