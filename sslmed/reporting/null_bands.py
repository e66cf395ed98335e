"""What chance alone does: how far null arms, baselines with other initial weights, are from the baseline."""

from typing import Any

import numpy as np
import pandas as pd

from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import chance_margin
from sslmed.experiments.arms import BASELINE, Arm, baseline_of
from sslmed.reporting.summary import CELL

COLUMNS = [*CELL, "n_folds", "df", "low", "high"]


def null_bands(values: pd.DataFrame) -> pd.DataFrame:
    """Give the range around each baseline's mean in which another baseline is by chance, with a probability of 95 %.

    The baseline and its null arms differ in their initial weights alone, so any difference between them is chance. Two
    folds are enough, if only for a wide range.

    Args:
        values: As in `summarise_cells`.

    Returns:
        `COLUMNS`, one row per metric, baseline (`arm`) and label fraction that null arms have run; `df` says on how
        many differences the range rests. Used are the folds that the baseline and all of its null arms have.
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
    """Give one row per fold and one column per arm: means over seeds and cases."""
    return cell.groupby(["fold", "arm"])["value"].mean().unstack("arm")
