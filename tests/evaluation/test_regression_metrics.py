"""Mean absolute error and r² against their formulas, and against leaving every case out in turn."""

import numpy as np
import pandas as pd
import pytest

from sslmed.evaluation.metrics import case_values, summarise


@pytest.fixture
def cases():
    generator = np.random.default_rng(0)
    truth = 1e6 + generator.normal(size=30)
    return pd.DataFrame({"case": "x", "truth": truth, "prediction": truth + 0.5 * generator.normal(size=30)})


def r2(truth, prediction):
    return 1 - np.sum((truth - prediction) ** 2) / np.sum((truth - truth.mean()) ** 2)


def test_scores_are_those_of_the_formulas(cases):
    truth, prediction = cases["truth"].to_numpy(), cases["prediction"].to_numpy()
    assert summarise(cases, "regression") == pytest.approx(
        {"mae": np.abs(truth - prediction).mean(), "r2": r2(truth, prediction)}
    )


def test_what_a_case_adds_to_r2_is_what_is_lost_without_it(cases):
    truth, prediction = cases["truth"].to_numpy(), cases["prediction"].to_numpy()
    without = np.array([r2(np.delete(truth, i), np.delete(prediction, i)) for i in range(30)])
    expected = r2(truth, prediction) + 29 * (without.mean() - without)
    np.testing.assert_allclose(case_values(cases, "r2"), expected, rtol=1e-6)


@pytest.mark.parametrize(("truth", "prediction"), [([3.0], [1.0]), ([3.0, 3.0], [1.0, 2.0])])
def test_without_spread_there_is_nothing_to_explain(truth, prediction):
    cases = pd.DataFrame({"truth": truth, "prediction": prediction})
    assert summarise(cases, "regression")["r2"] == 0
    assert list(case_values(cases, "r2")) == [0] * len(truth)


@pytest.mark.parametrize("prediction", [float("nan"), float("inf"), ""])
def test_a_diverged_network_has_no_score(prediction):
    with pytest.raises(ValueError, match="diverge"):
        summarise(pd.DataFrame({"truth": [1.0, 2.0], "prediction": [1.0, prediction]}), "regression")
