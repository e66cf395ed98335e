"""Scores of a run's test cases, with the interval that one run allows."""

from dataclasses import dataclass
from math import isfinite

import pandas as pd

from sslmed.core.tables import read_table
from sslmed.evaluation.metrics import case_values, find
from sslmed.evaluation.statistics import estimate
from sslmed.exporting.trained_run import TrainedRun


@dataclass(frozen=True)
class Score:
    """Holds one score of the test cases.

    Args:
        metric: Name in tables.
        title: Name for readers.
        value: The score.
        low: Lower end of its 95 % interval over test cases; without the noise of training, which one run cannot show.
            `None` if it is infinite, for which JSON has no number.
        high: Upper end, likewise.
        n_cases: Number of test cases.
    """

    metric: str
    title: str
    value: float
    low: float | None
    high: float | None
    n_cases: int


def scores_of(run: TrainedRun) -> list[Score]:
    """Return the scores of a fine-tuning run; none for a pretraining run, or if its `cases.csv` is not there."""
    if not run.is_finetuned or not run.files.cases.is_file():
        return []
    cases = read_table(run.files.cases)
    return [_score(run, cases, name, value) for name, value in run.results["metrics"].items() if value is not None]


def _score(run: TrainedRun, cases: pd.DataFrame, name: str, value: float) -> Score:
    metric = find(name, run.recipe.label_names)
    interval = estimate([case_values(cases, name)[None]], metric.bounds, test_to_train=0.0)
    unit = f" ({metric.unit})" if metric.unit else ""
    low, high = (end if isfinite(end) else None for end in (interval.low, interval.high))
    return Score(name, metric.title + unit, value, low, high, len(cases))
