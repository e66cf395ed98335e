"""Kappa and AUROC against their formulas and scipy; what cases add to them against leaving each out, and coverage."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from sslmed.evaluation.metrics import METRICS as REGISTRY
from sslmed.evaluation.metrics import case_values, find, summarise
from sslmed.evaluation.statistics import estimate

METRICS = ("qwk", "accuracy", "auroc")
APTOS = (0.49, 0.10, 0.27, 0.05, 0.09)  # shares of the grades


def table(truth, probabilities, prediction=None):
    """Cases as a classification writes them."""
    probabilities = np.asarray(probabilities)
    prediction = probabilities.argmax(1) if prediction is None else prediction
    columns = {f"probability_{i}": probabilities[:, i] for i in range(probabilities.shape[1])}
    return pd.DataFrame({"truth": truth, "prediction": prediction, **columns})


def random_cases(rng, n, shares=APTOS, digits=2):
    """Cases with few distinct probabilities, hence ties, and grades of which small sets lack some."""
    truth = rng.choice(len(shares), size=n, p=shares)
    scores = np.exp(rng.normal(size=(n, len(shares))) + 1.5 * np.eye(len(shares))[truth])
    return table(truth, np.round(scores / scores.sum(1, keepdims=True), digits))


def kappa(cases):
    """1 − sum(w · O) / sum(w · E), cell by cell; 0 where that is 0 / 0."""
    truth, prediction, n = cases["truth"].to_numpy(), cases["prediction"].to_numpy(), len(cases)
    observed = expected = 0.0
    for i in range(5):
        for j in range(5):
            observed += (i - j) ** 2 * sum((truth == i) & (prediction == j))
            expected += (i - j) ** 2 * sum(truth == i) * sum(prediction == j) / n
    return 1 - observed / expected if expected else 0.0


def auroc(cases):
    """Mann and Whitney's U over the number of pairs, averaged over classes that have pairs; 0.5 without any."""
    areas = []
    for i in range(5):
        positive, scores = cases["truth"] == i, cases[f"probability_{i}"]
        if positive.any() and not positive.all():
            u = mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic
            areas.append(u / positive.sum() / (~positive).sum())
    return np.mean(areas) if areas else 0.5


ORACLES = {"qwk": kappa, "auroc": auroc, "accuracy": lambda cases: (cases["truth"] == cases["prediction"]).mean()}


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_scores_are_those_of_the_formulas(metric, seed, n):
    cases = random_cases(np.random.default_rng(seed), n)
    assert summarise(cases, "classification")[metric] == pytest.approx(ORACLES[metric](cases), abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_values_of_cases_average_to_the_score_and_are_the_jackknifes(metric, seed, n):
    cases = random_cases(np.random.default_rng(seed), n)
    values = case_values(cases, metric)
    assert values.mean() == pytest.approx(summarise(cases, "classification")[metric], abs=1e-6)
    if n > 1 and metric != "accuracy":  # a mean over cases needs no jackknife
        without_case = np.array([ORACLES[metric](cases.drop(index=i)) for i in range(n)])
        np.testing.assert_allclose(values - values.mean(), (n - 1) * (without_case.mean() - without_case), atol=1e-9)


def test_without_the_only_case_of_a_class_the_class_does_not_count():
    # The only case of class 1 is ranked above one of the others and below the other one.
    cases = table([0, 0, 1], [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]])
    assert summarise(cases, "classification")["auroc"] == 0.5
    np.testing.assert_allclose(case_values(cases, "auroc"), 0.5 + 2 * (0.5 - np.array([0, 1, 0.5])))  # alone: chance


def test_classes_that_no_case_has_do_not_count():
    cases = table([0, 0, 1, 1], [[0.9, 0.1, 0, 0, 0], [0.8, 0.2, 0, 0, 0], [0.3, 0.7, 0, 0, 0], [0.1, 0.9, 0, 0, 0]])
    assert summarise(cases, "classification") == {"qwk": 1, "accuracy": 1, "auroc": 1}


def test_one_class_throughout_is_chance():
    cases = table([2, 2, 2], np.eye(5)[[2, 2, 2]])
    assert summarise(cases, "classification") == {"qwk": 0, "accuracy": 1, "auroc": 0.5}


def test_kappa_of_the_reversed_grades_is_minus_1_within_its_bounds():
    cases = table([0, 4] * 3, np.eye(5)[[4, 0] * 3])
    assert summarise(cases, "classification")["qwk"] == pytest.approx(-1) == find("qwk").bounds[0]


def test_intervals_of_kappa_cover():
    rng = np.random.default_rng(0)
    truth = case_values(random_cases(rng, 100_000), "qwk").mean()
    hits = 0
    for _ in range(400):
        interval = estimate([case_values(random_cases(rng, 250), "qwk")[None]], find("qwk").bounds, test_to_train=0)
        hits += interval.low <= truth <= interval.high
    assert 0.92 <= hits / 400 <= 0.975


def test_standard_error_of_auroc_is_delongs():
    cases = random_cases(np.random.default_rng(0), 200, shares=(0.8, 0.2))
    scores, positive = cases["probability_1"].to_numpy(), (cases["truth"] == 1).to_numpy()
    right = np.sign(scores[positive][:, None] - scores[~positive]) / 2 + 0.5
    variance = sum(right.mean(axis).var(ddof=1) / right.shape[1 - axis] for axis in (0, 1))
    assert case_values(cases, "auroc").std(ddof=1) / 200**0.5 == pytest.approx(variance**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": -1}, "prediction has classes -1 to"),
        ({"truth": 5}, "truth has classes .* to 5, expected 0 to 4"),
        ({"probability_0": np.nan}, "did training diverge"),
        ({"probability_0": 1.5}, r"outside \[0, 1\]"),
    ],
)
def test_what_no_metric_would_count_is_refused(change, message):
    cases = random_cases(np.random.default_rng(0), 10)
    cases.loc[3, list(change)] = list(change.values())
    for score in (lambda cases: summarise(cases, "classification"), lambda cases: case_values(cases, "qwk")):
        with pytest.raises(ValueError, match=message):
            score(cases)


def test_unknown_metric_and_empty_test_set_are_refused():
    cases = random_cases(np.random.default_rng(0), 4)
    with pytest.raises(ValueError, match="dice_foreground"):
        case_values(cases, "dice_foreground")
    with pytest.raises(ValueError, match="no test cases"):
        summarise(cases.iloc[:0], "classification")


def test_these_are_all_of_the_kind():
    assert set(METRICS) == {name for name, metric in REGISTRY.items() if metric.kind == "classification"}


def test_tables_need_no_torch():
    code = "import sslmed.evaluation.metrics, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
