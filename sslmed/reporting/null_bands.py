"""Differences due to chance: how far null arms, baselines with other initial weights, are from the baseline."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import Floats, chance_margin
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
        differences behind the range. Only runs (fold, seed) that the baseline and all its null arms have are used.
    """
    rows = []
    for (*family, fraction), cell in values.groupby([name for name in CELL if name != "arm"]):
        arms = sorted(cell["arm"].unique())
        for arm in [each for each in arms if Arm.parse(each).task == BASELINE]:
            nulls = [each for each in arms if Arm.parse(each).is_null and baseline_of(each) == arm]
            of_arms = cell[cell["arm"].isin([arm, *nulls])]
            n_arms = of_arms.groupby(["fold", "seed"])["arm"].transform("nunique")
            folds = _fold_scores(of_arms[n_arms == 1 + len(nulls)], [arm, *nulls])
            if nulls and len(folds) > 1:
                margin, df = chance_margin(list(folds))
                bounds = find(cell["metric"].iloc[0]).bounds
                mean = np.nanmean(_fold_scores(of_arms, [arm]))
                ends = np.clip([mean + side * margin for side in (-1, 1)], *bounds)
                rows.append([*family, arm, fraction, len(folds), df, *ends])
    return pd.DataFrame(rows, columns=COLUMNS)


def _fold_scores(values: pd.DataFrame, arms: Sequence[str]) -> Floats:
    """Return means over seeds and cases, `(folds, arms)`."""
    means: pd.DataFrame = values.groupby(["fold", "arm"])["value"].mean().unstack("arm")
    return means.reindex(columns=[*arms]).to_numpy()
