"""The registry: what its entries say, which of them a task's cases have, and intervals of metrics without bounds."""

from math import inf

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslmed.evaluation.metrics import METRICS, Metric, best_is, case_values, find, summarise
from sslmed.evaluation.statistics import estimate


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_entry_can_be_read_by_people(metric):
    assert metric.title
    assert metric.meaning
    assert metric.meaning[0].islower()
    assert not metric.meaning.endswith(".")
    assert ("{}" in metric.title) == ("{}" in metric.name)
    assert metric.bounds[0] < metric.bounds[1]
    assert ("lower is better" in metric.axis) != metric.higher_is_better
    assert metric.pooled is None or metric.values is not None


def test_classes_are_called_by_their_names_where_they_are_known():
    assert find("dice_class_2").title == "Dice of class 2"
    assert find("hd95_class_2", {2: "tumour"}).axis == "95 % Hausdorff distance of tumour (mm), lower is better"
    assert (find("dice_necrosis").title, find("dice_wt").title) == ("Dice of necrosis", "whole tumour Dice")
    with pytest.raises(ValueError, match="'dcie' is not a metric; the metrics are dice_foreground, "):
        find("dcie")


def test_the_best_checkpoint_has_the_lowest_error_or_the_highest_score():
    modes = {"val/loss": "min", "val/mae": "min", "val/hd95_foreground": "min", "val/qwk": "max", "val/dice_wt": "max"}
    assert {name: best_is(name) for name in modes} == modes


def test_what_a_task_writes_decides_its_metrics():
    cases = pd.DataFrame({"truth": [1.0, 3.0, 5.0], "prediction": [2.0, 3.0, 3.0], "probability_0": [0, 0, 0]})
    assert summarise(cases, "regression") == pytest.approx({"mae": 1.0, "r2": 1 - 5 / 8})
    with pytest.raises(ValueError, match="not determined by the columns of the cases: truth"):
        case_values(cases, "nsd_foreground")


def test_the_interval_of_millimetres_is_students():
    folds = [np.random.default_rng(fold).gamma(3, 4, size=(1, 12)) for fold in range(5)]
    means = [fold.mean() for fold in folds]
    found = estimate(folds, find("hd95_foreground").bounds, test_to_train=0)
    error = stats.sem(means)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, np.mean(means), error))
    assert found.low > 5
    difference = estimate([fold - 10 for fold in folds], find("hd95_foreground").difference_bounds, test_to_train=0)
    assert difference.p == pytest.approx(stats.ttest_1samp(means, 10).pvalue)
    assert (difference.low, difference.high) == pytest.approx((found.low - 10, found.high - 10))


def test_differences_lie_between_the_farthest_scores():
    bounds = [Metric("x", "regression", "x", "x", bounds=each).difference_bounds for each in ((-1, 1), (0, inf))]
    assert bounds == [(-2, 2), (-inf, inf)]
