"""The metrics of all tasks by name, computed from the columns that a task writes into cases.csv."""

import pandas as pd

from sslmed.evaluation import classification, segmentation
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
}
"""What metrics are called on axes."""


def score_bounds(metric: str) -> tuple[float, float]:
    """Give the least and the greatest value a metric can have."""
    return (-1.0, 1.0) if metric == classification.QWK else (0.0, 1.0)


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
    of_task = classification.case_values if _are_classified(cases) else segmentation.case_values
    return of_task(cases, metric)


def summarise(cases: pd.DataFrame) -> dict[str, float]:
    """Score a test set by every metric that its cases determine.

    Args:
        cases: One row per test case of one run, as in its cases.csv.

    Raises:
        ValueError: There are no cases.
    """
    if cases.empty:
        raise ValueError("there are no test cases to summarise, expected at least one")
    of_task = classification.summarise if _are_classified(cases) else segmentation.summarise
    return of_task(cases)


def _are_classified(cases: pd.DataFrame) -> bool:
    return "truth" in cases
