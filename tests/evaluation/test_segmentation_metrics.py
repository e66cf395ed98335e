"""Dice scores against sets, MONAI and closed formulas."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import DiceMetric
from monai.networks.utils import one_hot

from sslmed.evaluation.metrics import case_values, summarise
from sslmed.evaluation.segmentation import case_row, class_counts, dice, foreground_dice

PREDICTION = np.array([[0, 1, 1], [2, 2, 0]], dtype=np.uint8)
TRUTH = np.array([[0, 1, 0], [2, 1, 0]], dtype=np.uint8)


def label_maps(shape=(3, 4, 5), num_classes=4):
    return arrays(np.uint8, shape, elements=st.integers(0, num_classes - 1))


def random_cases(rng, n, label_values=(0, 1, 2)):
    """Cases of varying size and quality: the prediction is the truth with some voxels redrawn."""
    rows = []
    for _ in range(n):
        truth = rng.choice(len(label_values), size=400, p=[0.8, 0.15, 0.05])
        redrawn = rng.random(400) < rng.uniform(0.05, 0.6)
        rows.append(case_row(np.where(redrawn, rng.integers(0, 3, 400), truth), truth, label_values))
    return pd.DataFrame(rows)


def test_counts_by_hand():
    np.testing.assert_array_equal(class_counts(PREDICTION, TRUTH, 3), [[2, 1, 1], [0, 1, 1], [1, 1, 0]])


def test_row_is_named_by_label_values_and_scored_as_sets():
    row = case_row(PREDICTION, TRUTH, (0, 3, 7))
    scores = {}
    for index in (1, 2):
        predicted, true = (set(np.flatnonzero(labels == index)) for labels in (PREDICTION, TRUTH))
        scores[index] = 2 * len(predicted & true) / (len(predicted) + len(true))
    assert row["dice_class_3"] == pytest.approx(scores[1])
    assert row["dice_class_7"] == pytest.approx(scores[2])
    assert row["dice_foreground"] == pytest.approx((scores[1] + scores[2]) / 2) == foreground_dice(PREDICTION, TRUTH, 3)
    assert [row[f"{kind}_7"] for kind in ("tp", "fp", "fn")] == [1, 1, 0]
    assert "dice_class_0" not in row


@given(label_maps(), label_maps(), st.sets(st.integers(1, 3), min_size=1))
def test_a_region_is_the_union_of_its_classes(prediction, truth, classes):
    row = case_row(prediction, truth, (0, 5, 7, 9), {"wt": tuple(classes)})
    predicted, true = (set(np.flatnonzero(np.isin(labels, list(classes)))) for labels in (prediction, truth))
    size = len(predicted) + len(true)
    assert row["dice_wt"] == (2 * len(predicted & true) / size if size else 1)
    assert {name: value for name, value in row.items() if name != "dice_wt"} == case_row(
        prediction, truth, (0, 5, 7, 9)
    )


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"), [([0, 0], [0, 0], 1.0), ([0, 1], [0, 0], 0.0), ([0, 0], [1, 0], 0.0)]
)
def test_absent_class(prediction, truth, expected):
    assert case_row(np.array(prediction), np.array(truth), (0, 1))["dice_class_1"] == expected


@pytest.mark.parametrize("answer", [0, 1])
def test_no_answer_is_right_for_a_class_that_the_grid_has_lost(answer):
    """By hand: nothing of class 1 is left, so it counts as one missed voxel; class 2 has 2 of 3 voxels."""
    truth, prediction = np.array([0, 0, 2, 2, 2, 0]), np.array([answer, 0, 0, 2, 2, 0])
    row = case_row(prediction, truth, (0, 1, 2), {"first": (1,), "both": (1, 2)}, lost={1})
    assert [row[f"{kind}_1"] for kind in ("tp", "fp", "fn")] == [0, answer, 1]
    assert (row["dice_class_1"], row["dice_class_2"]) == (0, pytest.approx(4 / 5))
    assert row["dice_foreground"] == pytest.approx(2 / 5) == foreground_dice(prediction, truth, 3, {1})
    assert (row["dice_first"], row["dice_both"]) == (0, pytest.approx(4 / (5 + answer)))
    assert foreground_dice(truth, truth, 3, {1}) == 0.5 == foreground_dice(truth, truth, 3) / 2


@given(label_maps(), label_maps())
def test_agrees_with_monai(prediction, truth):
    as_monai = [one_hot(torch.from_numpy(labels.astype(np.int64))[None, None], 4) for labels in (prediction, truth)]
    expected = DiceMetric(include_background=True, ignore_empty=False, reduction="none")(*as_monai)[0]
    np.testing.assert_allclose(dice(*class_counts(prediction, truth, 4)), expected, rtol=1e-6)


@given(label_maps(), label_maps())
def test_tensors_score_as_arrays_do(prediction, truth):
    regions = {"wt": (1, 2, 3), "et": (3,)}
    assert case_row(torch.from_numpy(prediction), torch.from_numpy(truth), range(4), regions) == case_row(
        prediction, truth, range(4), regions
    )


@pytest.mark.parametrize(
    ("prediction", "message"),
    [(np.zeros((2, 2)), "shape"), (np.full((2, 3), 3), "indices 3 to 3"), (PREDICTION - 1.0, "-1")],
)
def test_refuses_what_no_class_would_count(prediction, message):
    with pytest.raises(ValueError, match=message):
        class_counts(prediction, TRUTH, 3)


def test_test_set_is_mean_over_cases_and_paper_dice_is_pooled():
    first, second = (case_row(PREDICTION, TRUTH, (0, 1, 2)), case_row(TRUTH, TRUTH, (0, 1, 2)))
    summary = summarise(
        pd.DataFrame([first | {"dice_foreground_native": 0.2}, second | {"dice_foreground_native": 0.4}]),
        "segmentation",
    )
    assert summary["dice_foreground"] == pytest.approx((first["dice_foreground"] + 1) / 2)
    assert summary["dice_foreground_native"] == pytest.approx(0.3)
    # Voxels of both cases together: tp (5, 3, 2), fp (0, 1, 1), fn (1, 1, 0).
    assert summary["dice_paper"] == pytest.approx((10 / 11 + 6 / 8 + 4 / 5) / 3)
    assert not [name for name in summary if name.startswith("tp_")]


@pytest.mark.parametrize("metric", ["dice_foreground", "dice_class_2", "dice_paper"])
@pytest.mark.parametrize("n", [1, 2, 20])
def test_values_of_cases_average_to_the_score(metric, n):
    cases = random_cases(np.random.default_rng(n), n)
    assert case_values(cases, metric).mean() == pytest.approx(summarise(cases, "segmentation")[metric], abs=1e-12)


def test_case_values_of_pooled_dice_spread_as_the_bootstrap_does():
    rng = np.random.default_rng(0)
    cases = random_cases(rng, 40)
    times_drawn = rng.multinomial(40, [1 / 40] * 40, size=5000)
    resampled = [dice(*(times_drawn @ cases[f"{kind}_{value}"] for kind in ("tp", "fp", "fn"))) for value in range(3)]
    standard_error = case_values(cases, "dice_paper").std(ddof=1) / 40**0.5
    assert standard_error == pytest.approx(np.mean(resampled, axis=0).std(), rel=0.1)


def test_case_values_of_pooled_dice_are_higher_for_better_cases():
    cases = pd.DataFrame([case_row(PREDICTION, TRUTH, (0, 1, 2)), case_row(TRUTH, TRUTH, (0, 1, 2))])
    poor, perfect = case_values(cases, "dice_paper")
    assert poor < perfect


def test_unknown_metric_and_empty_test_set_are_refused():
    with pytest.raises(ValueError, match="dice_foregruond"):
        case_values(random_cases(np.random.default_rng(0), 2), "dice_foregruond")
    with pytest.raises(ValueError, match="no test cases"):
        summarise(pd.DataFrame(), "segmentation")
