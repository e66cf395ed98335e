"""What pretraining saves: the labels, and the updates, with which an arm reaches its baseline's score."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from sslmed.evaluation.crossing import crossing
from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import ENOUGH_RUNS, Floats
from sslmed.experiments.arms import baseline_of
from sslmed.reporting.summary import FAMILY, by_fold, paired_differences

ARM = [*FAMILY, "arm"]
COLUMNS = [*ARM, "quantity", "n_runs", "value", "ci_low", "ci_high", "monotone"]
LABELS = "labels_to_baseline"
UPDATES = "updates_to_baseline"
SCALES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    LABELS: (np.log, np.exp),
    UPDATES: (np.asarray, np.asarray),
}
"""Quantity -> from it to the scale along which scores are interpolated, and back."""


def labels_to_baseline(values: pd.DataFrame, *, test_to_train: float) -> pd.DataFrame:
    """Estimate the label fraction at which each arm reaches the baseline's score with all labels.

    Scores are interpolated along the logarithm of the fraction. The interval includes what those of the differences do.

    Args:
        values: As in `summarise_cells`.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        `COLUMNS`, one row per metric and arm, the baseline too. `value` and `ci_high` are empty where they are beyond
        the greatest fraction; a `value` that is the least fraction means that one or less. `monotone` is false where
        the arm's scores get worse with more labels by more than chance, so that the row should not be relied on. No row
        is given where fewer than five runs have all fractions and a baseline with all labels.

    Raises:
        DataError: Runs to be compared were scored on different cases.
    """
    ends = values[values["label_fraction"] == 1]
    return _reaching(values, ends, LABELS, "label_fraction", test_to_train=test_to_train)


def updates_to_baseline(curves: pd.DataFrame, *, test_to_train: float) -> pd.DataFrame:
    """Estimate the updates after which each arm reaches the baseline's last validation score, at the middle fraction.

    The k-th validation passes of an arm's runs are taken together, at their mean update, as with a budget in epochs the
    runs of different folds may differ by a few.

    Args:
        curves: One row per run, validation pass and metric: the columns of `CELL`, `fold`, `seed`, `update`, `value`.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        As `labels_to_baseline`, but with fewer than five folds there are no rows: of a pass there is one score per run,
        not one per case, and a few folds tell too little about noise.
    """
    shown = curves[curves["label_fraction"] == middle_fraction(curves)]
    run = [*ARM, "fold", "seed"]
    number = shown.sort_values("update").groupby(run).cumcount()
    last = shown["update"] == shown.groupby(run)["update"].transform("max")
    mean_update = shown.groupby([*(shown[key] for key in ARM), number])["update"].transform("mean")
    passes = shown.assign(update=mean_update, case="validation")
    return _reaching(passes, passes[last], UPDATES, "update", test_to_train=test_to_train)


def middle_fraction(curves: pd.DataFrame) -> float:
    """Give the label fraction at which convergence is shown."""
    fractions = np.sort(curves["label_fraction"].unique())
    return float(fractions[len(fractions) // 2])


def _reaching(
    curves: pd.DataFrame, ends: pd.DataFrame, quantity: str, along: str, *, test_to_train: float
) -> pd.DataFrame:
    """Find where each arm's curve along a column reaches the end of its baseline's curve."""
    levels = dict(iter(ends.groupby(ARM)))
    arms: dict[Any, pd.DataFrame] = dict(iter(curves.groupby(ARM)))
    rows = []
    for (*family, arm), curve in arms.items():
        level = levels.get((*family, baseline_of(arm)))
        if level is None:
            continue
        metric = find(curve["metric"].iloc[0])
        points = {x: metric.gain * paired_differences(point, level) for x, point in curve.groupby(along)}
        runs = reduce(pd.Index.intersection, (point.index for point in points.values()))
        enough = len(runs) if quantity == LABELS else runs.get_level_values("fold").nunique()
        if enough >= ENOUGH_RUNS:
            of_points = [by_fold(point.loc[runs]) for point in points.values()]
            folds = [np.stack(fold) for fold in zip(*of_points, strict=True)]
            x, (to_scale, from_scale) = np.array([*points]), SCALES[quantity]
            found = crossing(to_scale(x), folds, metric.difference_bounds, test_to_train=test_to_train)
            reached = _within(x, *map(from_scale, (found.value, found.low, found.high)))
            rows.append([*family, arm, quantity, len(runs), *reached, found.monotone])
    return pd.DataFrame(rows, columns=COLUMNS)


def _within(x: Floats, value: float, low: float, high: float) -> list[float]:
    """Cut what lies beyond the range of x to what is known, or leave it empty."""
    value, low, high = max(value, x[0]), min(max(low, 0), x[-1]), max(high, x[0])
    return [float(end) if np.isfinite(end) else np.nan for end in (value, low, high)]
