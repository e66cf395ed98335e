"""Ordinal bits against the published table, a median by hand, and an exhaustive look at what decoding says."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sslmed.downstream.ordinal import class_probabilities, decode, grade_bits, ordinal_loss

any_logits = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-200, 200, width=32)
)


def _grades(logits: torch.Tensor) -> torch.Tensor:
    return decode(class_probabilities(logits))


def test_bits_are_the_published_ones_without_the_first_which_is_always_on() -> None:
    published = np.tril(np.ones((5, 5)))  # [1, 0, 0, 0, 0] is grade 0, [1, 1, 1, 1, 1] grade 4
    np.testing.assert_array_equal(grade_bits(torch.arange(5), 5), published[:, 1:])


def test_every_pattern_of_bits_is_a_grade_and_the_first_bit_that_is_off_ends_it() -> None:
    patterns = list(itertools.product((0, 1), repeat=4))
    expected = ["".join(map(str, (*pattern, 0))).index("0") for pattern in patterns]
    grades = _grades(torch.tensor(patterns) * 2.0 - 1)
    assert grades.tolist() == expected
    assert _grades(torch.full((1, 4), -9.0)).tolist() == [0]  # the published code says −1
    assert _grades(torch.tensor([[-1.0, 1.0, 1.0, 1.0]])).tolist() == [0]  # and 2 here


def test_bits_of_a_grade_are_read_as_that_grade() -> None:
    grades = torch.arange(5)
    logits = (grade_bits(grades, 5) - 0.5) * 60
    assert torch.equal(_grades(logits), grades)
    assert torch.allclose(class_probabilities(logits), torch.eye(5), atol=1e-6)


@given(any_logits)
def test_probabilities_are_a_distribution_and_decoding_is_its_median(logits: np.ndarray) -> None:
    probabilities = class_probabilities(torch.from_numpy(logits)).double().numpy()
    grades = _grades(torch.from_numpy(logits)).numpy()
    assert probabilities.shape == (len(logits), logits.shape[1] + 1)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    each = np.arange(len(logits))
    assert (probabilities.cumsum(1)[each, grades] >= 0.5 - 1e-6).all()
    assert (probabilities[:, ::-1].cumsum(1)[:, ::-1][each, grades] >= 0.5 - 1e-6).all()


def test_probabilities_of_bits_that_fall_are_differences_of_sigmoids() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0]])
    above = np.array([1, *1 / (1 + np.exp([-2.0, -0.5, 1.0])), 0])
    np.testing.assert_allclose(class_probabilities(logits)[0], above[:-1] - above[1:], atol=1e-6)


def test_loss_by_hand() -> None:
    logits = np.array([[0.3, -1.2], [2.0, 0.7]])
    on = 1 / (1 + np.exp(-logits))
    expected = -np.mean([np.log(1 - on[0, 0]), np.log(1 - on[0, 1]), np.log(on[1, 0]), np.log(1 - on[1, 1])])
    assert ordinal_loss(torch.tensor(logits), torch.tensor([0, 1])).item() == pytest.approx(expected)
