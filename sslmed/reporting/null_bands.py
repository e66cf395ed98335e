"""Differences due to chance: how far null arms, baselines with other initial weights, are from the baseline."""

from typing import Any

import numpy as np
import pandas as pd

from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import chance_margin
from sslmed.experiments.arms import BASELINE, Arm, baseline_of
from sslmed.reporting.summary import CELL

COLUMNS = [*CELL, "n_folds", "df", "low", "high"]


def null_bands(values: pd.DataFrame) -> pd.DataFrame:
    """Compute the range around each baseline's mean that contains another baseline with a probability of 95 %.

    The baseline and its null arms differ only in their initial weights, so any difference between them is chance. Two
    folds are enough, but the range is wide then. See `sslmed.evaluation.statistics.chance_margin` (Student 1908,
    https://doi.org/10.1093/biomet/6.1.1).

    Args:
        values: As in `summarise_cells`.

    Returns:
        `COLUMNS`, one row per metric, baseline (`arm`) and label fraction with null arms. `df` is the number of
        differences behind the range. Only folds that the baseline and all its null arms have are used.
    """
    rows = []
    for (*family, fraction), cell in values.groupby([name for name in CELL if name != "arm"]):
        scores = _fold_scores(cell)
        for arm in scores.columns[[Arm.parse(arm).task == BASELINE for arm in scores.columns]]:
            nulls = [each for each in scores.columns if Arm.parse(each).is_null and baseline_of(each) == arm]
            folds = scores[[arm, *nulls]].dropna().to_numpy()
            if nulls and len(folds) > 1:
                margin, df = chance_margin(list(folds))
                bounds = find(cell["metric"].iloc[0]).bounds
                ends = np.clip([scores[arm].mean() + side * margin for side in (-1, 1)], *bounds)
                rows.append([*family, arm, fraction, len(folds), df, *ends])
    return pd.DataFrame(rows, columns=COLUMNS)


def _fold_scores(cell: pd.DataFrame) -> Any:  # noqa: ANN401 - a frame whose columns mypy takes for unknown
    """Return one row per fold and one column per arm: means over seeds and cases."""
    return cell.groupby(["fold", "arm"])["value"].mean().unstack("arm")
