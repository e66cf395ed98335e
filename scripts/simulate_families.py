"""Simulates the family-wise error: how often any arm of an experiment is said to differ when none does.

Arms are compared with one baseline, on simulated scores and real splits as in simulate_intervals.py. Each arm has one
test, as in `tests.csv`, of its difference to the baseline in the mean over label fractions. Holm's method corrects the
p-values of all arms. Two folds with one seed are too few for a test; counted there are the tests that sslmed leaves
out, over test cases only.

    python scripts/simulate_families.py --experiments 4000     # about 6 minutes of one core
"""

import numpy as np
import pandas as pd
from scipy import stats
from simulate_intervals import (
    CSV,
    FROM_CASES,
    FROM_RUN,
    WIDE,
    Floats,
    cases_in_use,
    read_options,
    simulate,
    write_table,
)

from sslmed.data.splits import split_cases
from sslmed.evaluation.statistics import ENOUGH_RUNS, Estimate, assumed_ratio, estimate, holm

FAMILIES = CSV.with_name("simulated_families.csv")
DESIGNS = ((5, 1), (5, 3), (2, 1))
"""Folds that are run, of five, and seeds."""

ARMS = (5, 10)
N_CASES = 60


def main() -> None:
    options = read_options(__doc__, FAMILIES)
    table = pd.concat(
        family_errors(options.experiments, folds=folds, seeds=seeds, from_cases=from_cases)
        for folds, seeds in DESIGNS
        for from_cases in FROM_CASES
    )
    write_table(table, options.csv)


def family_errors(experiments: int, *, folds: int, seeds: int, from_cases: float) -> pd.DataFrame:
    """Simulate experiments in which no arm differs, and count those in which Holm's method finds one that does.

    Returns:
        One row for each of `ARMS`, the number of arms: `corrected`, with the p-values of sslmed (empty where it gives
        none), and `plain`, with Student's, as fractions of the experiments.
    """
    cases = [f"{i:03}" for i in range(N_CASES)]
    splits = [split_cases(cases, fold=fold, n_folds=5) for fold in range(folds)]
    ratio = float(np.mean([assumed_ratio(len(split.test), len(split.train), 5) for split in splits]))
    n_test = len(splits[0].test)
    used = cases_in_use(splits, cases, seeds)
    rng = np.random.default_rng(0)
    corrected, plain = np.empty((2, experiments, max(ARMS)))
    for i in range(experiments):
        baseline, *arms = (simulate(used, rng, from_cases=from_cases).mean(axis=0) for _ in range(1 + max(ARMS)))
        for k, arm in enumerate(arms):
            spread = rng.normal(size=(folds, 1, n_test)) * (2 * (1 - from_cases) * (1 - FROM_RUN) * n_test) ** 0.5
            of_cases = arm - baseline + spread - spread.mean(axis=-1, keepdims=True)
            found = estimate(of_cases, WIDE, test_to_train=ratio)
            corrected[i, k] = np.nan if found.p is None else found.p
            plain[i, k] = students_p(found, df=folds - 1 if folds >= ENOUGH_RUNS else folds * (n_test - 1))
    rows = [{"arms": n, "corrected": _any(corrected[:, :n]), "plain": _any(plain[:, :n])} for n in ARMS]
    return pd.DataFrame(rows).assign(folds=folds, seeds=seeds, from_cases=from_cases, experiments=experiments)


def students_p(found: Estimate, df: float) -> float:
    """Compute the p-value whose interval is the plain one."""
    error = (found.plain_high - found.plain_low) / 2 / stats.t.ppf(0.975, df)
    return float(2 * stats.t.sf(abs(found.mean) / error, df))


def _any(p_values: Floats) -> float:
    """Return the fraction of experiments `(experiments, arms)` with a p-value below 5 % after Holm's correction."""
    if np.isnan(p_values).any():
        return np.nan
    return float(np.mean([(holm(row) < 0.05).any() for row in p_values]))


if __name__ == "__main__":
    main()
