"""Intervals and tests against scipy, worked examples, and simulations with between-run variance."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sslmed.data.splits import split_cases
from sslmed.evaluation.statistics import assumed_ratio, chance_margin, estimate, holm

WIDE = (-100.0, 100.0)
RATIO = 20 / 64
"""Test to training cases of five folds, a fifth of whose training cases validate."""


def simulated(rng, folds, seeds, cases=20, *, fold=0.0, run=0.0, case=0.1, rest=0.05):
    """Scores of mean 0 with the given standard deviations of folds, runs, cases and the rest."""
    common = fold * rng.normal(size=(folds, 1, 1)) + case * rng.normal(size=(folds, 1, cases))
    return common + run * rng.normal(size=(folds, seeds, 1)) + rest * rng.normal(size=(folds, seeds, cases))


def test_interval_and_p_are_students_on_fold_means():
    values = simulated(np.random.default_rng(0), 5, 3, run=0.1) + 0.1
    fold_means = values.mean(axis=(1, 2))
    expected = stats.ttest_1samp(fold_means, 0)
    result = estimate(values, WIDE, test_to_train=0)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert result.p == pytest.approx(expected.pvalue)
    assert (result.mean, result.n_runs, result.n_cases) == (pytest.approx(fold_means.mean()), 15, 100)


def test_overlap_of_training_sets_widens_the_interval_as_nadeau_and_bengio_say():
    values = simulated(np.random.default_rng(0), 5, 3, run=0.1) + 0.1
    means = values.mean(axis=(1, 2))
    error = means.std(ddof=1) * np.sqrt(1 / 5 + RATIO)
    result = estimate(values, WIDE, test_to_train=RATIO)
    margin = stats.t.ppf(0.975, 4) * error
    assert (result.low, result.high) == pytest.approx((means.mean() - margin, means.mean() + margin))
    assert result.p == pytest.approx(2 * stats.t.sf(means.mean() / error, 4))
    plain = estimate(values, WIDE, test_to_train=0)
    assert (result.plain_low, result.plain_high) == (plain.low, plain.high) == (plain.plain_low, plain.plain_high)


def test_few_folds_tell_nothing_of_overlap():
    values = simulated(np.random.default_rng(0), 2, 5, run=0.1)
    result = estimate(values, WIDE, test_to_train=RATIO)
    assert (result.low, result.high) == (result.plain_low, result.plain_high)


@pytest.mark.parametrize("n_folds", [6, 10, 20])
def test_more_folds_are_correlated_as_their_training_sets_have_more_cases_in_common(n_folds):
    def in_common(n_folds):
        splits = [split_cases(map(str, range(300)), fold=fold, n_folds=n_folds) for fold in range(n_folds)]
        pairs = [(set(a.train), set(b.train)) for a, b in combinations(splits, 2)]
        return np.mean([len(a & b) / len(a) for a, b in pairs])

    correlation = RATIO / (1 + RATIO) * in_common(n_folds) / in_common(5)
    assert assumed_ratio(0, 1, n_folds) == pytest.approx(correlation / (1 - correlation), rel=0.01)
    assert assumed_ratio(20, 64, 5) == RATIO


def test_paired_difference_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    arm, baseline = simulated(rng, 6, 1, run=0.1) + 0.1, simulated(rng, 6, 1, run=0.1)
    expected = stats.ttest_rel(arm.mean(axis=(1, 2)), baseline.mean(axis=(1, 2)))
    assert estimate(arm - baseline, WIDE, test_to_train=0).p == pytest.approx(expected.pvalue)


def test_few_runs_give_students_interval_over_cases_and_no_p():
    values = simulated(np.random.default_rng(2), 1, 2)
    expected = stats.ttest_1samp(values.mean(axis=(0, 1)), 0).confidence_interval(0.95)
    result = estimate(values, WIDE, test_to_train=0)
    assert (result.low, result.high) == pytest.approx(tuple(expected))
    assert result.p is None


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("folds", "seeds", "noise"),
    [
        (5, 1, {"run": 0.1}),
        (5, 1, {"run": 0.03}),
        (15, 1, {"run": 0.05}),
        (5, 3, {"run": 0.05, "fold": 0.05}),  # 15 runs
        (1, 5, {"run": 0.05}),
        (3, 5, {"run": 0.05}),
        (2, 1, {}),  # over test cases only
    ],
)
def test_intervals_cover(folds, seeds, noise):
    rng = np.random.default_rng(3)
    results = [estimate(simulated(rng, folds, seeds, **noise), WIDE, test_to_train=0) for _ in range(2000)]
    assert 0.93 <= np.mean([result.low < 0 < result.high for result in results]) <= 0.97


@pytest.mark.parametrize(("folds", "seeds"), [(5, 1), (5, 3), (1, 5)])
def test_false_positives_of_paired_differences_are_nominal(folds, seeds):
    """Arm and baseline differ by the noise of their trainings alone; cases are hard or easy for both."""
    rng = np.random.default_rng(4)
    p_values = []
    for _ in range(2000):
        cases = 0.2 * rng.normal(size=(folds, 1, 20))
        arm, baseline = (cases + simulated(rng, folds, seeds, run=0.05, case=0.03) for _ in range(2))
        p_values.append(estimate(arm - baseline, WIDE, test_to_train=0).p)
    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (1, 5, 1)])
def test_where_noise_cannot_be_told_the_interval_is_the_whole_range(shape):
    result = estimate(np.full(shape, 0.7), (0, 1), test_to_train=0)
    assert (result.mean, result.low, result.high, result.p) == (pytest.approx(0.7), 0, 1, None)


@pytest.mark.parametrize(("hits", "n_cases"), [(1, 12), (0, 12), (1, 60)])
def test_where_all_cases_are_equal_the_interval_is_that_of_clopper_and_pearson(hits, n_cases):
    exact = stats.binomtest(hits * n_cases, n_cases).proportion_ci(0.95, method="exact")
    result = estimate(np.full((1, 1, n_cases), float(hits)), (0, 1), test_to_train=0)
    assert (result.low, result.high) == pytest.approx((exact.low, exact.high))
    assert (result.plain_low, result.plain_high) == (result.low, result.high)


@pytest.mark.parametrize("difference", [1.0, -1.0])
def test_where_all_runs_differ_by_as_much_as_they_can_p_is_that_of_the_sign_test(difference):
    for folds in (5, 10):
        values = np.full((folds, 1, 1), difference)
        assert estimate(values, (-1, 1), test_to_train=RATIO).p == pytest.approx(stats.binomtest(0, folds).pvalue)


def test_equal_differences_of_all_folds_are_not_certain():
    in_each_fold = np.tile([1.0, 0.0, 0.0, 0.0], (5, 1, 1)) + np.linspace(0, 1e-16, 5)[:, None, None]
    for values in (in_each_fold, np.full((5, 1, 1), 0.25)):
        result = estimate(values, (-1, 1), test_to_train=RATIO)
        assert result.low < 0 < result.high
        assert result.p == pytest.approx(2 * 0.8**5)  # a fifth of 0 - (-1) below 0.25 could be at -1, for a mean of 0
    nothing = estimate(np.zeros((5, 1, 4)), (-1, 1), test_to_train=RATIO)
    assert (nothing.p, nothing.low) == (1, -nothing.high)
    unbounded = estimate(np.full((5, 1, 4), 0.25), (-np.inf, np.inf), test_to_train=RATIO)
    assert (unbounded.low, unbounded.high, unbounded.p) == (-np.inf, np.inf, 1)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_interval_holds_the_mean_within_bounds_and_agrees_with_p(folds, seeds, cases, seed):
    result = estimate(np.random.default_rng(seed).uniform(-1, 1, (folds, seeds, cases)), (-1, 1), test_to_train=RATIO)
    assert -1 <= result.low <= result.plain_low <= result.mean <= result.plain_high
    assert -1 <= result.low <= result.mean <= result.high <= 1
    if result.p is not None and not np.isclose(result.p, 0.05, atol=1e-6):
        assert (result.p < 0.05) == (result.low > 0 or result.high < 0)


@pytest.mark.parametrize("value", [0.2, 0.5, 0.51, 0.52, 0.53, 0.9])
@pytest.mark.parametrize("shape", [(10, 1, 1), (5, 1, 1), (1, 5, 9)])
def test_interval_and_p_of_equal_values_agree(value, shape):
    for sign in (-1, 1):
        result = estimate(np.full(shape, sign * value), (-1, 1), test_to_train=RATIO)
        assert (result.p < 0.05) == (result.low > 0 or result.high < 0)


def test_chance_is_the_spread_of_differences_whose_mean_is_known_to_be_zero():
    baseline, null = np.random.default_rng(7).normal(size=(2, 5))
    margin, df = chance_margin(list(np.stack([baseline, null], axis=1)))
    assert df == 5
    rms = np.sqrt(((null - baseline) ** 2).mean())
    assert margin == pytest.approx(stats.t.ppf(0.975, 5) * rms * np.sqrt(1 / 5))


@pytest.mark.parametrize(("folds", "nulls"), [(2, 1), (2, 2), (5, 1), (5, 3)])
def test_another_null_arm_is_within_what_chance_does(folds, nulls):
    """Folds differ, and arms in the noise of their trainings alone. It is the same for all pairs, so 95 % is exact."""
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(4000):
        scores = rng.normal(size=(folds, 1)) + 0.1 * rng.normal(size=(folds, 1 + nulls + 2))
        pair = np.diff(scores[:, -2:]).mean()  # two that the estimate has not seen
        margin, df = chance_margin(list(scores[:, : 1 + nulls]))
        inside.append(abs(pair) < margin)
    assert df == folds * nulls
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("folds", [2, 5])
def test_another_null_arm_is_within_the_band_around_the_baseline(folds):
    """The baseline is in the estimate and in the difference, so that both are large at a time: more than 95 %."""
    rng = np.random.default_rng(9)
    scores = rng.normal(size=(4000, folds, 3))
    margins = [chance_margin(list(each[:, :2]))[0] for each in scores]
    difference = (scores[..., 2] - scores[..., 0]).mean(axis=1)
    assert 0.945 <= np.mean(np.abs(difference) < margins) <= 0.98


def test_holm_against_a_worked_example():
    # Ordered: 0.005 × 4, 0.01 × 3, then 0.03 × 2, and 0.04 × 1 raised to the one before it.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.6]), [1, 1])
    assert holm([]).shape == (0,)


def test_holm_bounds_the_chance_of_any_false_positive():
    p_values = np.random.default_rng(5).random((4000, 25))
    assert np.mean([holm(row).min() < 0.05 for row in p_values]) == pytest.approx(0.05, abs=0.01)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("better", [0, 2])
def test_after_holm_false_positives_stay_nominal_with_a_common_baseline(better):
    """Three arms at three fractions, compared with the same runs of the baseline; some arms are indeed better."""
    rng = np.random.default_rng(6)
    gains = 0.2 * (np.arange(3) < better)
    single, after_holm, found = [], [], []
    for _ in range(2000):
        baseline = [simulated(rng, 5, 1, run=0.05) for _ in range(3)]
        p_values = [
            estimate(gain + simulated(rng, 5, 1, run=0.05) - of_fraction, WIDE, test_to_train=0).p
            for gain in gains
            for of_fraction in baseline
        ]
        is_null = np.repeat(gains == 0, 3)
        single += list(np.array(p_values)[is_null] < 0.05)
        after_holm.append((holm(p_values)[is_null] < 0.05).any())
        found += list(holm(p_values)[~is_null] < 0.05)
    assert 0.04 <= np.mean(single) <= 0.06
    assert np.mean(after_holm) <= 0.06  # 0.05, and two standard errors of the simulation
    assert not better or np.mean(found) > 0.5
