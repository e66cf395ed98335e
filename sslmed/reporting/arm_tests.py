"""The primary test of each arm: does it differ from the baseline, in the mean over label fractions?"""

from functools import reduce
from itertools import chain

import pandas as pd

from sslmed.evaluation.statistics import ENOUGH_RUNS
from sslmed.experiments.arms import BASELINE, Arm, baseline_of
from sslmed.reporting.summary import (
    CELL,
    DIFFERENCE,
    FAMILY,
    adjusted,
    difference,
    main_fractions,
    paired_differences,
    runs_by_cases,
)

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
    cells = runs_by_cases(values, CELL)
    rows = []
    for *family, arm in dict.fromkeys(key[:-1] for key in cells):
        pairs = [tuple((*family, name, each) for name in (arm, baseline_of(arm))) for each in fractions]
        if Arm.parse(arm).is_null or Arm.parse(arm).task == BASELINE or not cells.keys() >= {*chain(*pairs)}:
            continue
        runs = _mean_of([paired_differences(cells[ours], cells[theirs], arm) for ours, theirs in pairs])
        if len(runs) >= ENOUGH_RUNS:
            found = difference(runs, family[-1], test_to_train)
            rows.append([*family, arm, len(runs), runs.shape[1], *found])
    table = pd.DataFrame(rows, columns=COLUMNS[:-1]).astype(dict.fromkeys(DIFFERENCE, float))
    return table.assign(p_holm=adjusted(table["p"]))


def _mean_of(differences: list[pd.DataFrame]) -> pd.DataFrame:
    """Average over label fractions: one row per run that has all of them, and one column per case."""
    runs = reduce(pd.Index.intersection, (each.index for each in differences))
    total: pd.DataFrame = sum(each.loc[runs] for each in differences)  # type: ignore[assignment]
    return (total / len(differences)).dropna(axis=1, how="all")
