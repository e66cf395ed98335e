"""Intervals and tests that include the noise of training: what the scores of runs say about a method.

A cell of a figure (one arm, one label fraction) holds runs, fold × seed; each run scores every test case of its fold.
Where the noise of a cell's mean is read from depends on what was run:

* Five folds or more: the spread of the k fold means, S² = Σ (mᵢ − m)² / (k − 1). Seeds of one fold share its test cases
  and most of the training data, so the fold is the unit, and its mean carries the noise of training and of cases alike.
  Student's t with k − 1 degrees of freedom would take S² / k for the variance of m. But training sets of two folds
  overlap, so that fold means are correlated: with a correlation ρ, S² has the expectation σ² (1 − ρ), and m has the
  variance σ² (1 + (k − 1) ρ) / k, which is E[S²] (1/k + ρ / (1 − ρ)). Nadeau and Bengio (2003,
  https://doi.org/10.1023/A:1024068626366) put ρ = n_test / (n_test + n_train), the fraction of the data that is tested
  on, and thus the factor 1/k + n_test / n_train instead of 1/k.
* Five runs or more in fewer folds: the spread of the seeds' means within folds plus that of the cases' means
  (degrees of freedom by Satterthwaite). It holds for training sets like these folds', so nothing is corrected.
* Fewer than five runs: the spread of the cases' means, without a p-value. It does not include training noise.

Limits: ρ cannot be told from the folds, and no unbiased estimate of the variance of m exists (Bengio and Grandvalet
2004, https://www.jmlr.org/papers/v5/grandvalet04a.html). The correction is a choice of ρ: 0.24 for five folds, a fifth
of whose training cases validate. It is exact if ρ is that, and too wide if it is less; the interval is too narrow only
where the choice of the training cases makes up more than 40 % of the variance between folds
(`scripts/simulate_intervals.py`).

A percentile bootstrap of runs, then cases within them, covers 85 % instead of 95 % with five runs whose training noise
dominates, 99 % where the cases dominate (it counts them twice), and 66 % with five seeds of one fold (it takes their
shared test cases for independent ones).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

ENOUGH_RUNS = 5
"""From this many runs on an interval includes training noise, and there are differences and p-values."""

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % intervals.

    Attributes:
        mean: Mean over folds of the mean over seeds and cases.
        low: Lower end of the interval, corrected for the overlap of training sets.
        high: Upper end.
        plain_low: Lower end of Student's interval, which takes folds for independent.
        plain_high: Upper end.
        p: Two-sided p-value of the hypothesis that the mean is 0, below 0.05 just where the corrected interval excludes
            0; None with fewer than five runs.
        n_runs: Number of runs.
        n_cases: Number of distinct test cases.
    """

    mean: float
    low: float
    high: float
    plain_low: float
    plain_high: float
    p: float | None
    n_runs: int
    n_cases: int


def estimate(folds: Sequence[Floats], bounds: tuple[float, float], *, test_to_train: float) -> Estimate:
    """Estimate a method's mean score, or the mean difference of two methods paired by run and case.

    Args:
        folds: The values of each fold, `(seeds, cases)`.
        bounds: Least and greatest possible value. The interval is cut there; where the noise cannot be told at all, as
            from a single test case, it is this whole range.
        test_to_train: Number of test cases over that of training cases, mean over folds: all cases that a fold trains
            or pretrains on, whatever the label fraction. 0 gives Student's interval.
    """
    n_runs, n_cases = (sum(fold.shape[axis] for fold in folds) for axis in (0, 1))
    mean = float(np.mean([fold.mean() for fold in folds]))
    parts = _noise(folds, n_runs)
    if any(df == 0 for _, df in parts):
        return Estimate(mean, *bounds, *bounds, None, n_runs, n_cases)
    error, df = _combine(parts)
    widening = variance_factor(len(folds), test_to_train) * len(folds) if len(folds) >= ENOUGH_RUNS else 1.0
    corrected = error * widening**0.5
    t = float(special.stdtrit(df, (1 + LEVEL) / 2))
    ends = [mean + side * t * each for each in (corrected, error) for side in (-1, 1)]
    low, high, plain_low, plain_high = np.clip(ends, *bounds).tolist()
    p = _p_value(mean, corrected, df) if n_runs >= ENOUGH_RUNS else None
    return Estimate(mean, low, high, plain_low, plain_high, p, n_runs, n_cases)


def variance_factor(n_folds: int, test_to_train: float) -> float:
    """Give the variance of a mean over folds in units of the variance between folds (Nadeau and Bengio 2003)."""
    return 1 / n_folds + test_to_train


def chance_margin(folds: Sequence[Floats]) -> tuple[float, int]:
    """Say how far two methods' mean scores come apart by chance, if they differ in their initial weights alone.

    The m methods of a fold are repetitions of one, so the variance of their difference is twice that between them. Its
    expectation is 0 by construction. So no mean is subtracted, and two folds suffice. With m = 2, the estimate is the
    mean over folds of the squared difference. These differences are of training alone, which folds do not share, so
    the correction for shared training cases has no place here.

    Args:
        folds: The score of each method, mean over seeds and cases, for each fold: `(methods,)`, at least two.

    Returns:
        Half the width of the range that holds 95 % of the differences, and its degrees of freedom: the sum of m − 1
        over folds.
    """
    df = sum(len(fold) - 1 for fold in folds)
    variance = 2 * sum(float(((fold - fold.mean()) ** 2).sum()) for fold in folds) / df
    return float(special.stdtrit(df, (1 + LEVEL) / 2)) * (variance / len(folds)) ** 0.5, df


def holm(p_values: npt.ArrayLike) -> Floats:
    """Adjust p-values for their number, so that the chance of any false positive is bounded.

    Source: Holm 1979, https://www.jstor.org/stable/4615733.

    Returns:
        Adjusted p-values in the order given, to be compared with the level as they are.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def _noise(folds: Sequence[Floats], n_runs: int) -> list[tuple[float, int]]:
    """Give the independent parts of the variance of the mean, each with its degrees of freedom."""
    if len(folds) >= ENOUGH_RUNS:
        return [_variance_of_mean([np.array([fold.mean() for fold in folds])])]
    cases = _variance_of_mean([fold.mean(axis=0) for fold in folds])
    if n_runs < ENOUGH_RUNS:
        return [cases]
    # What is neither seed nor case is in both spreads. Counted twice, it errs on the wide side, by a point of coverage.
    return [_variance_of_mean([fold.mean(axis=1) for fold in folds]), cases]


def _variance_of_mean(groups: Sequence[Floats]) -> tuple[float, int]:
    """Give the variance of the mean of group means from the pooled spread within groups, and its degrees of freedom."""
    df = sum(len(group) - 1 for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return squares / max(df, 1) * sum(1 / len(group) for group in groups) / len(groups) ** 2, df


def _combine(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Give the standard error of the mean, and Satterthwaite's degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0, 1.0
    return variance**0.5, variance**2 / sum(part**2 / df for part, df in parts)


def _p_value(mean: float, error: float, df: float) -> float:
    if error == 0:
        return float(mean == 0)
    return float(2 * special.stdtr(df, -abs(mean) / error))
