"""Crossings against interpolation and scipy's paired t test, and coverage by simulation with between-run variance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from sslmed.evaluation.crossing import crossing

WIDE = (-100.0, 100.0)
LITTLE = 1e-9 * np.random.default_rng(1).normal(size=(5, 1, 1, 1))
"""Noise of five folds that makes no difference to results; none at all would not tell how large it is."""

FRACTIONS = np.log([0.05, 0.1, 0.25, 0.5, 1])
UPDATES = np.arange(30, 180, 30.0)


def expected(x):
    """Rises steeply at first, and hardly at the end."""
    return 0.8 - 0.4 * np.exp(-3 * (x - x[0]) / (x[-1] - x[0]))


def rising(x, folds, seeds, cases, rng, *, level, arm=0.0, run=0.0, case=0.0, rest=0.05):
    """Differences of an arm's curve to a level that the baseline's runs reach, noisy in folds, runs and cases."""
    curve = expected(x)[:, None, None] - level
    for _ in range(folds):
        # Of a fold: its pretraining, and cases that are harder for one arm; of a run: each of its trainings.
        common = arm * rng.normal() + case * rng.normal(size=cases)
        of_points = run * rng.normal(size=(len(x), seeds, 1)) + rest * rng.normal(size=(len(x), seeds, cases))
        of_baseline = run * rng.normal(size=(seeds, 1)) + rest * rng.normal(size=(seeds, cases))
        yield curve + common + of_points - of_baseline


@pytest.mark.parametrize(("level", "reached"), [(0.3, 2.5), (-0.1, -np.inf), (0.9, np.inf)])
def test_without_noise_it_is_where_straight_lines_reach_the_level(level, reached):
    curve = np.array([0.0, 0.2, 0.4, 0.8]) - level
    result = crossing([1, 2, 3, 4], list(np.ones((2, 3)) * curve[:, None, None] + LITTLE), WIDE, test_to_train=0)
    assert (result.value, result.low, result.high) == (pytest.approx(reached),) * 3


def test_a_curve_reaches_its_own_end_there_however_unknown_the_noise():
    curve = np.array([-0.6, -0.4, -0.2, 0.0])[:, None, None]
    for bounds in (WIDE, (-np.inf, np.inf)):
        result = crossing([1, 2, 3, 4], list(curve * np.ones((2, 3)) * (1 + LITTLE)), bounds, test_to_train=0)
        assert (result.value, result.low, result.high) == (pytest.approx(4),) * 3


def test_one_point_is_reached_or_not():
    for difference, expected in [(0.1, -np.inf), (-0.1, np.inf)]:
        assert crossing([1.0], [np.full((1, 1, 3), difference)], WIDE, test_to_train=0).value == expected


def test_a_dip_does_not_count_as_reached_early():
    """The nearest curve that never falls: 0.3 and -0.5 become their mean, so that 0 is reached after them."""
    curve = np.array([-1, 0.3, -0.5, 1])
    assert 3 < crossing([1, 2, 3, 4], [curve[:, None, None] * np.ones((1, 2))] * 5, WIDE, test_to_train=0).value < 4


@pytest.mark.parametrize(("curve", "may_rise"), [((0.1, 0.5, 0.4, 0.8), False), ((0.1, 0.4, 0.4, 0.8), True)])
def test_a_curve_that_falls_by_more_than_chance_is_flagged(curve, may_rise):
    noise = np.random.default_rng(0).normal(size=(5, 4, 1, 1))
    for spread, expected in ((1e-9, may_rise), (0.01, may_rise), (0.3, True)):
        folds = list(np.array(curve)[:, None, None] - 0.5 + spread * noise)
        assert crossing([1, 2, 3, 4], folds, WIDE, test_to_train=0).monotone is expected


def test_the_interval_ends_where_the_paired_t_test_has_5_percent():
    rng = np.random.default_rng(0)
    curves = np.array([0.5, 0.6, 0.7, 0.8]) + 0.01 * rng.normal(size=(6, 4))
    level = 0.65 + 0.01 * rng.normal(size=6)
    x = np.arange(4.0)

    def excess(position):
        at = [np.interp(position, x, curve) for curve in curves]
        return stats.ttest_rel(at, level).pvalue - 0.05

    result = crossing(x, list((curves - level[:, None])[:, :, None, None]), WIDE, test_to_train=0)
    ends = brentq(excess, 0.5, result.value), brentq(excess, result.value, 2.5)
    assert (result.low, result.high) == pytest.approx(ends, abs=3e-3)
    assert result.value == pytest.approx(np.interp(level.mean(), curves.mean(axis=0), x))


@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_interval_holds_the_value_and_a_higher_level_is_reached_later(folds, seeds, cases, points, seed):
    rng = np.random.default_rng(seed)
    differences = list(rng.uniform(-1, 1, (folds, points, seeds, cases)))
    first = crossing(range(points), differences, WIDE, test_to_train=0)
    later = crossing(range(points), [fold - 0.1 for fold in differences], WIDE, test_to_train=0)
    assert first.low <= first.value <= first.high
    assert first.value <= later.value
    assert first.low <= later.low


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("x", "level", "folds", "seeds", "noise"),
    [
        (FRACTIONS, 0.7, 5, 1, {"run": 0.03, "arm": 0.02, "case": 0.03}),
        (FRACTIONS, 0.6, 5, 3, {"run": 0.03, "arm": 0.02, "case": 0.03}),
        (FRACTIONS, 0.6, 2, 5, {"run": 0.03, "case": 0.03}),
        (FRACTIONS, 0.7, 1, 5, {"run": 0.03, "case": 0.03}),
        (FRACTIONS, 0.7, 2, 1, {"case": 0.03}),  # over test cases only
        (UPDATES, 0.7, 5, 1, {"run": 0.02, "arm": 0.02, "rest": 0}),
        (UPDATES, 0.75, 5, 3, {"run": 0.02, "arm": 0.02, "rest": 0}),
    ],
)
def test_intervals_cover(x, level, folds, seeds, noise):
    rng = np.random.default_rng(1)
    cases = 1 if x is UPDATES else 20
    fine = np.linspace(0, len(x) - 1, 10001)
    truth = np.interp(level, np.interp(fine, range(len(x)), expected(x)), np.interp(fine, range(len(x)), x))
    results = [
        crossing(x, list(rising(x, folds, seeds, cases, rng, level=level, **noise)), WIDE, test_to_train=0)
        for _ in range(600)
    ]
    coverage = np.mean([result.low <= truth <= result.high for result in results])
    assert 0.93 <= coverage <= 0.97
    assert np.mean([not result.monotone for result in results]) <= 0.05
