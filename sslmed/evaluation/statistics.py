"""Confidence intervals and tests that include the noise of training.

A cell of a figure (one arm, one label fraction) holds runs, fold × seed; each run scores every test case of its fold.
The source of the standard error of a cell's mean depends on what was run:

* Five folds or more: the spread of the k fold means, S² = Σ (mᵢ − m)² / (k − 1). Seeds of one fold share its test cases
  and most of the training data, so the fold is the unit, and its mean carries the noise of training and of cases alike.
  Student's t with k − 1 degrees of freedom would use S² / k as the variance of m. But training sets of two folds
  overlap, so fold means are correlated. With a correlation ρ, S² has the expectation σ² (1 − ρ), and m has the
  variance σ² (1 + (k − 1) ρ) / k, which is E[S²] (1/k + ρ / (1 − ρ)). Nadeau and Bengio (2003,
  https://doi.org/10.1023/A:1024068626366) set ρ = n_test / (n_test + n_train), the fraction of the data in the test
  set, which gives the factor 1/k + n_test / n_train instead of 1/k. More than five folds: see `assumed_ratio`.
* Five runs or more in fewer folds: the spread of the seeds' means within folds plus that of the cases' means
  (degrees of freedom by Satterthwaite 1946, https://doi.org/10.2307/3002019). The interval is conditional on the
  training sets of these folds, so it needs no correction.
* Fewer than five runs: the spread of the cases' means, without a p-value. It does not include training noise.

Where there is no spread, as with 12 of 12 images classified correctly, the noise is not 0 but unknown: see
`_of_equal_values`.

Limits: ρ cannot be estimated from the folds, and no unbiased estimate of the variance of m exists (Bengio and
Grandvalet 2004, https://www.jmlr.org/papers/v5/grandvalet04a.html). The correction assumes a ρ: 0.24 for five folds
with a fifth of the training cases used for validation. The interval is exact if this is the true ρ, and too wide if ρ
is smaller. It is too narrow only where the choice of the training cases causes more than 40 % of a fold's variance,
with any number of folds (`scripts/simulate_intervals.py`).

A percentile bootstrap of runs, then cases within them, covers 85 % instead of 95 % with five runs whose training noise
dominates, 99 % where the cases dominate (it counts them twice), and 66 % with five seeds of one fold (it treats their
shared test cases as independent).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

ENOUGH_RUNS = 5
"""Smallest number of runs for intervals with training noise, and for p-values."""

LEVEL = 0.95

ROUNDING = 1e-12
"""Spread of values, relative to their size, that is rounding: jackknife pseudo-values lose three digits."""


@dataclass(frozen=True)
class Estimate:
    """Holds a mean with its 95 % intervals, in the unit of the score.

    Attributes:
        mean: Mean over folds of the mean over seeds and cases.
        low: Lower end of the interval, corrected for the overlap of training sets.
        high: Upper end.
        plain_low: Lower end of Student's interval, which treats folds as independent.
        plain_high: Upper end of Student's interval.
        p: Two-sided p-value of the hypothesis that the mean is 0. It is below 0.05 exactly where the corrected interval
            excludes 0; None with fewer than five runs.
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

    Sources: Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366, section 3, for the corrected interval;
    Satterthwaite 1946, https://doi.org/10.2307/3002019, for degrees of freedom with fewer folds.

    Args:
        folds: The values of each fold, `(seeds, cases)`.
        bounds: Smallest and largest possible value. The interval is clipped there. Where the noise cannot be estimated,
            as with a single test case, the interval is this whole range.
        test_to_train: `assumed_ratio`, mean over folds. 0 gives Student's interval.

    Returns:
        Mean, intervals and p-value, in the unit of the values.
    """
    n_runs, n_cases = (sum(fold.shape[axis] for fold in folds) for axis in (0, 1))
    mean = float(np.mean([fold.mean() for fold in folds]))
    parts = _noise(folds, n_runs)
    if any(df == 0 for _, df in parts):
        return Estimate(mean, *bounds, *bounds, None, n_runs, n_cases)
    error, df = _combine(parts)
    if error <= ROUNDING * abs(mean):
        low, high, chance = _of_equal_values(mean, bounds, _number_of_equal(folds, parts))
        return Estimate(mean, low, high, low, high, chance if n_runs >= ENOUGH_RUNS else None, n_runs, n_cases)
    widening = variance_factor(len(folds), test_to_train) * len(folds) if len(folds) >= ENOUGH_RUNS else 1.0
    corrected = error * widening**0.5
    t = float(special.stdtrit(df, (1 + LEVEL) / 2))
    ends = [mean + side * t * each for each in (corrected, error) for side in (-1, 1)]
    low, high, plain_low, plain_high = np.clip(ends, *bounds).tolist()
    p = _p_value(mean, corrected, df) if n_runs >= ENOUGH_RUNS else None
    return Estimate(mean, low, high, plain_low, plain_high, p, n_runs, n_cases)


def variance_factor(n_folds: int, test_to_train: float) -> float:
    """Compute the variance of a mean over folds in units of the variance between folds, 1/k + n_test / n_train.

    Source: Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366, the corrected resampled t-test.

    Args:
        n_folds: Number of folds k.
        test_to_train: n_test / n_train, as in `estimate`.
    """
    return 1 / n_folds + test_to_train


def assumed_ratio(n_test: int, n_train: int, n_folds: int) -> float:
    """Compute ρ / (1 − ρ) for the correlation ρ of fold means: n_test / n_train up to five folds.

    With more folds, n_test / n_train falls, although training sets have more cases in common: a fraction proportional
    to (k − 2) / (k − 1). If each training case has its own effect on what is learned, ρ is proportional to this
    fraction. So it is that of five folds, 0.2 / (0.2 + 0.64), times the ratio of the fractions: ρ / (1 − ρ) is 0.31 for
    5 folds, 0.39 for 10 and 0.43 for 20, whatever the number of cases.

    Source: Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366, up to five folds.

    Args:
        n_test: Number of test cases of a fold.
        n_train: Number of its training cases: all that it trains or pretrains on, whatever the label fraction.
        n_folds: Number of folds k that the cases are divided into, however many are run.
    """
    if n_folds <= 5:
        return n_test / n_train
    correlation = 0.2 / (0.2 + 0.64) * (n_folds - 2) / (n_folds - 1) / (3 / 4)  # 3 / 4: of five folds
    return correlation / (1 - correlation)


def chance_margin(folds: Sequence[Floats]) -> tuple[float, int]:
    """Compute how far the mean scores of two methods differ by chance, if they differ only in their initial weights.

    The m methods of a fold are repetitions of one, so the variance of their difference is twice the variance between
    them. The expected difference is 0 by construction, so no mean is subtracted and two folds are enough. With m = 2,
    the estimate is the mean over folds of the squared difference. The differences come from training alone, which folds
    do not share, so there is no correction for shared training cases. The quantile is that of Student's t (Student
    1908, https://doi.org/10.1093/biomet/6.1.1) with the pooled variance.

    Args:
        folds: For each fold, the score of each method, mean over seeds and cases: `(methods,)`, at least two.

    Returns:
        Half the width of the range that contains 95 % of the differences, in the unit of the score, and the degrees of
        freedom: the sum of m − 1 over folds.
    """
    df = sum(len(fold) - 1 for fold in folds)
    variance = 2 * sum(float(((fold - fold.mean()) ** 2).sum()) for fold in folds) / df
    return float(special.stdtrit(df, (1 + LEVEL) / 2)) * (variance / len(folds)) ** 0.5, df


def holm(p_values: npt.ArrayLike) -> Floats:
    """Adjust p-values for multiple tests, so that the probability of any false positive is at most the level.

    Source: Holm 1979, https://www.jstor.org/stable/4615733: with p sorted, the running maximum of (n − i) pᵢ for
    i = 0, …, n − 1, at most 1.

    Args:
        p_values: `(tests,)`, in [0, 1].

    Returns:
        Adjusted p-values `(tests,)`, in the order given. Compare them with the level directly.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def _noise(folds: Sequence[Floats], n_runs: int) -> list[tuple[float, int]]:
    """Return the independent parts of the variance of the mean, each with its degrees of freedom."""
    if len(folds) >= ENOUGH_RUNS:
        return [_variance_of_mean([np.array([fold.mean() for fold in folds])])]
    cases = _variance_of_mean([fold.mean(axis=0) for fold in folds])
    if n_runs < ENOUGH_RUNS:
        return [cases]
    # The interaction of seed and case is in both spreads. Counting it twice widens coverage by about a point.
    return [_variance_of_mean([fold.mean(axis=1) for fold in folds]), cases]


def _variance_of_mean(groups: Sequence[Floats]) -> tuple[float, int]:
    """Compute the variance of the mean of group means from the pooled spread within groups, and its df."""
    df = sum(len(group) - 1 for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return squares / max(df, 1) * sum(1 / len(group) for group in groups) / len(groups) ** 2, df


def _combine(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Compute the standard error of the mean, and Satterthwaite's degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0, 1.0
    return variance**0.5, variance**2 / sum(part**2 / df for part, df in parts)


def _number_of_equal(folds: Sequence[Floats], parts: Sequence[tuple[float, int]]) -> int:
    """Count the values without spread: cases if all have the same value, else the means that tell the noise."""
    values = np.concatenate([fold.ravel() for fold in folds])
    if np.ptp(values) <= ROUNDING * abs(values).max():
        return sum(fold.shape[1] for fold in folds)
    return min(df for _, df in parts) + 1


def _of_equal_values(mean: float, bounds: tuple[float, float], number: int) -> tuple[float, float, float]:
    """Compute the interval of a mean and the p-value of 0 from equal values, whose spread does not tell the noise.

    If the true mean were further up by a fraction q of the way to the upper bound, at least the fraction q of all
    values would be different, and n values would be equal with a probability of at most (1 − q)ⁿ. The interval is
    where this is 2.5 % or more. For proportions of 0 and 1, it is that of Clopper and Pearson 1934,
    https://doi.org/10.1093/biomet/26.4.404; for the largest possible differences, p is that of the sign test.
    """
    low, high = bounds
    away = 1 - ((1 - LEVEL) / 2) ** (1 / number)
    beyond = low if mean > 0 else high
    fraction = mean / (mean - beyond) if mean else 0.0
    p = min(1.0, 2 * (1 - fraction) ** number)
    return mean - away * (mean - low), mean + away * (high - mean), p


def _p_value(mean: float, error: float, df: float) -> float:
    return float(2 * special.stdtr(df, -abs(mean) / error))
