"""Summarises the runs of an experiment by cell, i.e. arm and label fraction, with intervals and paired differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sslmed.core.errors import DataError
from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import ENOUGH_RUNS, Floats, estimate, holm
from sslmed.experiments.arms import Arm, baseline_of

FAMILY = ["figure", "dataset", "preset", "metric"]
CELL = [*FAMILY, "arm", "label_fraction"]
SCORE = ["n_labels", "n_runs", "n_cases", "mean", "ci_low", "ci_high", "ci_plain_low", "ci_plain_high"]
DIFFERENCE = ["diff", "diff_low", "diff_high", "diff_plain_low", "diff_plain_high", "p"]


def summarise_cells(values: pd.DataFrame, *, primary: str, test_to_train: float) -> pd.DataFrame:
    """Estimate the mean of every cell, and its difference to the baseline over the runs that both have.

    Sources: Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366, for intervals; Holm 1979,
    https://www.jstor.org/stable/4615733, for adjusted p-values.

    Args:
        values: One row per run, case and metric (`sslmed.evaluation.metrics.case_values`): the columns of `CELL`,
            `n_labels`, `fold`, `seed`, `case`, `value`.
        primary: Metric whose p-values are adjusted, for all cells of a figure together. Null arms are a control and
            not part of the family.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        The columns of `CELL`, `SCORE`, `DIFFERENCE`, and `p_holm`, one row per cell, sorted. The difference is empty
        for baselines and for fewer than five runs, whose interval could not include the noise of training. `n_labels`
        is the mean over runs, rounded.

    Raises:
        DataError: If runs to compare were scored on different cases.
    """
    cells, n_labels = runs_by_cases(values, CELL), values.groupby(CELL)["n_labels"].mean()
    rows = []
    for key, cell in cells.items():
        *family, arm, fraction = key
        metric = family[-1]
        row = [*key, round(float(n_labels[key])), *_score(cell, metric, test_to_train)]
        baseline = cells.get((*family, baseline_of(arm), fraction))
        if baseline is not None and baseline is not cell:
            row += difference(paired_differences(cell, baseline, arm), metric, test_to_train)
        rows.append(row)
    columns = [*CELL, *SCORE, *DIFFERENCE]
    summary = pd.DataFrame([row + [None] * (len(columns) - len(row)) for row in rows], columns=columns)
    summary = summary.astype(dict.fromkeys(DIFFERENCE, float))
    is_primary = (summary["metric"] == primary) & ~summary["arm"].map(lambda arm: Arm.parse(arm).is_null)
    return summary.assign(p_holm=adjusted(summary["p"].where(is_primary)))


def main_fractions(table: pd.DataFrame) -> list[float]:
    """Return the label fractions that at least half as many runs have as the one that most runs have, ascending.

    An amount of labels that was added later for one arm or fold is shown, but is no part of the tests, which need all
    amounts of a run.

    Args:
        table: Columns `label_fraction`, `arm`, `fold` and `seed`.
    """
    runs = table.drop_duplicates(["label_fraction", "arm", "fold", "seed"])["label_fraction"].value_counts()
    return sorted(float(fraction) for fraction in runs.index[2 * runs >= runs.max()])


def runs_by_cases(values: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Split a long table: for each combination of keys, one row per run (fold, seed) and one column per case.

    Values are empty where the case is not in the fold's test set.
    """
    table = values.pivot(index=[*keys, "fold", "seed"], columns="case", values="value")
    groups: dict[Any, pd.DataFrame] = dict(iter(table.groupby(level=keys)))
    return {key: runs.droplevel(keys) for key, runs in groups.items()}


def paired_differences(runs: pd.DataFrame, baseline: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Subtract the baseline's values over the runs that both have.

    Args:
        runs: Values of one metric, arm and label fraction, one row per run and one column per case.
        baseline: Values to compare with.
        arm: Name of the arm.

    Returns:
        One row per run (fold, seed) and one column per case.

    Raises:
        DataError: If the two were scored on different cases.
    """
    ours, theirs = runs.align(baseline)
    scored, also = ours.notna().to_numpy(), theirs.notna().to_numpy()
    both = scored.any(axis=1) & also.any(axis=1)
    if (scored[both] != also[both]).any():
        names = f"{arm} and {baseline_of(arm)}"
        raise DataError([f"{names} were scored on different test cases; remove the older runs"])
    return (ours - theirs).iloc[np.flatnonzero(both)]


def by_fold(runs: pd.DataFrame) -> list[Floats]:
    """Split a table of runs by cases into one array `(seeds, cases)` per fold.

    Raises:
        DataError: If seeds of one fold were scored on different cases.
    """
    values, fold_of_run = runs.to_numpy(), runs.index.get_level_values("fold")
    folds = [values[fold_of_run == fold] for fold in fold_of_run.unique()]
    folds = [fold[:, ~np.isnan(fold).all(axis=0)] for fold in folds]
    if any(np.isnan(fold).any() for fold in folds):
        raise DataError(["seeds of one fold were scored on different test cases; remove the older runs"])
    return folds


def difference(runs: pd.DataFrame, metric: str, test_to_train: float) -> list[float | None]:
    """Estimate a paired difference: the values of `DIFFERENCE`, or an empty list with fewer than five runs.

    Args:
        runs: Paired differences, one row per run (fold, seed) and one column per case.
        metric: Name of the metric.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.
    """
    if len(runs) < ENOUGH_RUNS:
        return []
    found = estimate(by_fold(runs), find(metric).difference_bounds, test_to_train=test_to_train)
    return [found.mean, found.low, found.high, found.plain_low, found.plain_high, found.p]


def adjusted(p_values: "pd.Series[float]") -> "pd.Series[float]":
    """Adjust a family of p-values by Holm's method (Holm 1979). Empty values stay empty and do not count."""
    tested = p_values.dropna()
    return pd.Series(holm(tested), index=tested.index).reindex(p_values.index)


def _score(runs: pd.DataFrame, metric: str, test_to_train: float) -> list[float]:
    score = estimate(by_fold(runs), find(metric).bounds, test_to_train=test_to_train)
    return [score.n_runs, score.n_cases, score.mean, score.low, score.high, score.plain_low, score.plain_high]
