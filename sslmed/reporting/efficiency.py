"""Label efficiency and convergence: labels and updates with which an arm reaches its baseline's score."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from sslmed.evaluation.crossing import crossing
from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import ENOUGH_RUNS, Floats
from sslmed.experiments.arms import baseline_of
from sslmed.reporting.summary import FAMILY, by_fold, main_fractions, paired_differences, runs_by_cases

ARM = [*FAMILY, "arm"]
COLUMNS = [*ARM, "quantity", "n_runs", "value", "ci_low", "ci_high", "monotone"]
LABELS = "labels_to_baseline"
UPDATES = "updates_to_baseline"
SCALES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    LABELS: (np.log, np.exp),
    UPDATES: (np.asarray, np.asarray),
}
"""Quantity -> function to the scale on which scores are interpolated, and its inverse."""


def labels_to_baseline(values: pd.DataFrame, *, test_to_train: float) -> pd.DataFrame:
    """Estimate the label fraction at which each arm reaches the baseline's score with all labels.

    Scores are interpolated along the logarithm of the fraction. The interval includes the same noise as those of the
    differences. Source: Fieller 1954, https://www.jstor.org/stable/2984043; see `sslmed.evaluation.crossing`.

    Args:
        values: As in `summarise_cells`.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        `COLUMNS`, one row per metric and arm, including the baseline. `value` and `ci_high` are empty where they are
        beyond the largest fraction. A `value` equal to the smallest fraction means that fraction or less. `monotone` is
        false where more labels make the arm's scores worse by more than chance; do not rely on that row. There is no
        row if fewer than five runs have all fractions and a baseline with all labels.

    Raises:
        DataError: Runs to be compared were scored on different cases.
    """
    values = values[values["label_fraction"].isin(main_fractions(values))]
    ends = values[values["label_fraction"] == 1]
    return _reaching(values, ends, LABELS, "label_fraction", test_to_train=test_to_train)


def updates_to_baseline(curves: pd.DataFrame, *, test_to_train: float) -> pd.DataFrame:
    """Estimate the updates after which each arm reaches the baseline's last validation score, at the middle fraction.

    The k-th validation passes of an arm's runs are compared at their mean update: with a budget in epochs, runs of
    different folds may differ by a few updates. Source: Fieller 1954, https://www.jstor.org/stable/2984043; see
    `sslmed.evaluation.crossing`.

    Args:
        curves: One row per run, validation pass and metric: the columns of `CELL`, `fold`, `seed`, `update`, `value`.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        As `labels_to_baseline`, but without rows for fewer than five folds: a pass has one score per run, not one per
        case, and noise cannot be estimated from a few folds.
    """
    shown = curves[curves["label_fraction"] == middle_fraction(curves)]
    run = [*ARM, "fold", "seed"]
    number = shown.sort_values("update").groupby(run).cumcount()
    last = shown["update"] == shown.groupby(run)["update"].transform("max")
    mean_update = shown.groupby([*(shown[key] for key in ARM), number])["update"].transform("mean")
    passes = shown.assign(update=mean_update, case="validation")
    return _reaching(passes, passes[last], UPDATES, "update", test_to_train=test_to_train)


def middle_fraction(curves: pd.DataFrame) -> float:
    """Return the label fraction for which convergence is shown."""
    fractions = main_fractions(curves)
    return fractions[len(fractions) // 2]


def _reaching(
    curves: pd.DataFrame, ends: pd.DataFrame, quantity: str, along: str, *, test_to_train: float
) -> pd.DataFrame:
    """Find where each arm's curve along a column reaches the end of its baseline's curve."""
    levels = runs_by_cases(ends, ARM)
    arms: dict[tuple[Any, ...], dict[float, pd.DataFrame]] = {}
    for (*key, x), point in runs_by_cases(curves, [*ARM, along]).items():
        arms.setdefault(tuple(key), {})[x] = point
    rows = []
    for (*family, arm), curve in arms.items():
        level = levels.get((*family, baseline_of(arm)))
        if level is None or len(level) < ENOUGH_RUNS:
            continue
        metric = find(family[-1])
        points = {x: metric.gain * paired_differences(point, level, arm) for x, point in curve.items()}
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
    """Clip the estimate to the range of x; NaN where it is not reached."""
    value, low, high = max(value, x[0]), min(max(low, 0), x[-1]), max(high, x[0])
    return [float(end) if np.isfinite(end) else np.nan for end in (value, low, high)]
