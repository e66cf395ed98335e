"""What pretraining saves: the labels, and the updates, with which an arm reaches its baseline's score."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from sslmed.evaluation.crossing import crossing
from sslmed.evaluation.metrics import lower_is_better
from sslmed.evaluation.statistics import ENOUGH_RUNS, Floats
from sslmed.experiments.arms import baseline_of
from sslmed.reporting.summary import FAMILY, by_fold, difference_bounds, paired_differences

ARM = [*FAMILY, "arm"]
COLUMNS = [*ARM, "quantity", "n_runs", "value", "ci_low", "ci_high"]
LABELS = "labels_to_baseline"
UPDATES = "updates_to_baseline"


def labels_to_baseline(values: pd.DataFrame) -> pd.DataFrame:
    """Estimate the label fraction at which each arm reaches the baseline's score with all labels.

    Scores are interpolated along the logarithm of the fraction. The interval includes what those of the differences do.

    Args:
        values: As in `summarise_cells`.

    Returns:
        `COLUMNS`, one row per metric and arm, the baseline too. `value` and `ci_high` are empty where they are beyond
        the greatest fraction; a `value` that is the least fraction means that one or less. No row is given where no run
        has all fractions and a baseline with all labels.

    Raises:
        DataError: Runs to be compared were scored on different cases.
    """
    return _reaching(values, values[values["label_fraction"] == 1], LABELS, along="label_fraction")


def updates_to_baseline(curves: pd.DataFrame) -> pd.DataFrame:
    """Estimate the updates after which each arm reaches the baseline's last validation score, at the middle fraction.

    The k-th validation passes of an arm's runs are taken together, at their mean update, as with a budget in epochs the
    runs of different folds may differ by a few.

    Args:
        curves: One row per run, validation pass and metric: the columns of `CELL`, `fold`, `seed`, `update`, `value`.

    Returns:
        As `labels_to_baseline`. With fewer than five folds both ends of the interval are empty: of a pass there is one
        score per run, not one per case, and a few folds tell too little about noise.
    """
    shown = curves[curves["label_fraction"] == middle_fraction(curves)]
    run = [*ARM, "fold", "seed"]
    number = shown.sort_values("update").groupby(run).cumcount()
    last = shown["update"] == shown.groupby(run)["update"].transform("max")
    mean_update = shown.groupby([*(shown[key] for key in ARM), number])["update"].transform("mean")
    passes = shown.assign(update=mean_update, case="validation")
    return _reaching(passes, passes[last], UPDATES, along="update")


def middle_fraction(curves: pd.DataFrame) -> float:
    """Give the label fraction at which convergence is shown."""
    fractions = np.sort(curves["label_fraction"].unique())
    return float(fractions[len(fractions) // 2])


def _reaching(curves: pd.DataFrame, ends: pd.DataFrame, quantity: str, *, along: str) -> pd.DataFrame:
    """Find where each arm's curve along a column reaches the end of its baseline's curve."""
    levels = dict(iter(ends.groupby(ARM)))
    arms: dict[Any, pd.DataFrame] = dict(iter(curves.groupby(ARM)))
    rows = []
    for (*family, arm), curve in arms.items():
        level = levels.get((*family, baseline_of(arm)))
        if level is None:
            continue
        rising = -1 if lower_is_better(curve["metric"].iloc[0]) else 1
        points = {x: rising * paired_differences(point, level) for x, point in curve.groupby(along)}
        runs = reduce(pd.Index.intersection, (point.index for point in points.values()))
        if not runs.empty:
            of_points = [by_fold(point.loc[runs]) for point in points.values()]
            folds = [np.stack(fold) for fold in zip(*of_points, strict=True)]
            reached = _reached(np.array([*points]), folds, curve["metric"].iloc[0], quantity)
            rows.append([*family, arm, quantity, len(runs), *reached])
    return pd.DataFrame(rows, columns=COLUMNS)


def _reached(x: Floats, folds: Sequence[Floats], metric: str, quantity: str) -> list[float]:
    """Give value and interval in units of x; what lies beyond its range is cut to what is known, or empty."""
    to_scale, from_scale = (np.log, np.exp) if quantity == LABELS else (np.asarray, np.asarray)
    found = crossing(to_scale(x), folds, difference_bounds(metric))
    value, low, high = (float(from_scale(position)) for position in (found.value, found.low, found.high))
    value, low, high = max(value, x[0]), min(max(low, 0), x[-1]), max(high, x[0])
    if quantity == UPDATES and len(folds) < ENOUGH_RUNS:
        low = high = np.nan
    return [end if np.isfinite(end) else np.nan for end in (value, low, high)]
