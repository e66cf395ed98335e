"""The metrics of all tasks by name, computed from the columns that a task writes into cases.csv."""

import math
from types import ModuleType

import pandas as pd

from sslmed.evaluation import classification, regression, segmentation
from sslmed.evaluation.jackknife import Floats
from sslmed.evaluation.segmentation import PAPER_DICE

METRIC_NAMES = {
    "dice_foreground": "foreground Dice",
    "dice_foreground_native": "foreground Dice on the original grid",
    PAPER_DICE: "Dice pooled over test cases, with background",
    "dice_wt": "whole tumour Dice",
    "dice_tc": "tumour core Dice",
    "dice_et": "enhancing tumour Dice",
    "qwk": "quadratic weighted kappa",
    "accuracy": "accuracy",
    "auroc": "AUROC, mean over classes",
    "r2": "r² (explained variance)",
    "mae": "mean absolute error",
}
"""What metrics are called on axes."""


def score_bounds(metric: str) -> tuple[float, float]:
    """Give the least and the greatest value a metric can have."""
    return _BOUNDS.get(metric, (0.0, 1.0))


_BOUNDS = {classification.QWK: (-1.0, 1.0), regression.R2: (-math.inf, 1.0), regression.MAE: (0.0, math.inf)}


def lower_is_better(metric: str) -> bool:
    """Whether a metric measures an error."""
    return metric == regression.MAE


def case_values(cases: pd.DataFrame, metric: str) -> Floats:
    """Give one value per case whose mean is the value of the whole test set.

    Args:
        cases: One row per test case of one run, as in its cases.csv.
        metric: One of those that `summarise` gives.

    Returns:
        `(cases,)`.

    Raises:
        ValueError: The cases do not determine the metric.
    """
    values: Floats = _task_of(cases).case_values(cases, metric)
    return values


def summarise(cases: pd.DataFrame) -> dict[str, float]:
    """Score a test set by every metric that its cases determine.

    Args:
        cases: One row per test case of one run, as in its cases.csv.

    Raises:
        ValueError: There are no cases.
    """
    if cases.empty:
        raise ValueError("there are no test cases to summarise, expected at least one")
    scores: dict[str, float] = _task_of(cases).summarise(cases)
    return scores


def _task_of(cases: pd.DataFrame) -> ModuleType:
    """Tell the kind of task by its columns: only classes have probabilities, and only maps have no one truth."""
    if "truth" not in cases:
        return segmentation
    return classification if "probability_0" in cases else regression
