"""The primary test of each arm: does it differ from the baseline, in the mean over label fractions?"""

from functools import reduce
from typing import Any

import pandas as pd

from sslmed.evaluation.statistics import ENOUGH_RUNS
from sslmed.experiments.arms import BASELINE, Arm, baseline_of
from sslmed.reporting.summary import DIFFERENCE, FAMILY, adjusted, difference, main_fractions, paired_differences

COLUMNS = [*FAMILY, "arm", "n_runs", "n_cases", *DIFFERENCE, "p_holm"]


def compare_arms(values: pd.DataFrame, *, test_to_train: float) -> pd.DataFrame:
    """Test the mean over label fractions of each arm's paired difference to its baseline.

    The difference is computed for each run (fold, seed) and case, then averaged over the `main_fractions` with equal
    weights. Only runs that have all of them in both arms count. The p-values of all arms are one family for Holm's
    method (Holm 1979, https://www.jstor.org/stable/4615733). Null arms are a control and are not tested.

    Args:
        values: As in `summarise_cells`, for the primary metric only.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        `COLUMNS`, one row per arm with five such runs or more, sorted.

    Raises:
        DataError: If runs to compare were scored on different cases.
    """
    fractions = main_fractions(values)
    values = values[values["label_fraction"].isin(fractions)]
    arms: dict[Any, pd.DataFrame] = dict(iter(values.groupby([*FAMILY, "arm"])))
    rows = []
    for (*family, arm), of_arm in arms.items():
        baseline = arms.get((*family, baseline_of(arm)))
        if baseline is None or Arm.parse(arm).is_null or Arm.parse(arm).task == BASELINE:
            continue
        runs = _mean_over_fractions(of_arm, baseline, fractions)
        if len(runs) >= ENOUGH_RUNS:
            found = difference(runs, of_arm["metric"].iloc[0], test_to_train)
            rows.append([*family, arm, len(runs), runs.shape[1], *found])
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    return table.assign(p_holm=adjusted(table["p"].astype(float)))


def _mean_over_fractions(arm: pd.DataFrame, baseline: pd.DataFrame, fractions: list[float]) -> pd.DataFrame:
    """Return one row per run that has all fractions, and one column per case."""
    of_arm, of_baseline = (dict(iter(each.groupby("label_fraction"))) for each in (arm, baseline))
    if not of_arm.keys() == of_baseline.keys() == set(fractions):
        return pd.DataFrame()
    differences = [paired_differences(of_arm[fraction], of_baseline[fraction]) for fraction in fractions]
    runs = reduce(pd.Index.intersection, (each.index for each in differences))
    total: pd.DataFrame = sum(each.loc[runs] for each in differences)  # type: ignore[assignment]
    return (total / len(fractions)).dropna(axis=1, how="all")
