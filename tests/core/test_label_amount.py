import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount, label_amounts

AMOUNTS = st.one_of(
    st.integers(1, 10**6).map(lambda count: LabelAmount(count=count)),
    st.floats(0, 1, exclude_min=True).map(lambda fraction: LabelAmount(fraction=fraction)),
)


@given(AMOUNTS)
def test_a_path_says_the_amount(amount):
    assert LabelAmount.from_path(amount.path) == amount


@pytest.mark.parametrize(
    ("amount", "path", "text", "of_labels"),
    [
        (LabelAmount(fraction=0.05), "5", "5 %", "5 % of the labels"),
        (LabelAmount(fraction=0.07), "7", "7 %", "7 % of the labels"),
        (LabelAmount(fraction=0.125), "12.5", "12.5 %", "12.5 % of the labels"),
        (LabelAmount.from_number("all"), "100", "100 %", "100 % of the labels"),
        (LabelAmount.from_number("1"), "n1", "1 label", "1 label"),
        (LabelAmount.from_number(8), "n8", "8 labels", "8 labels"),
    ],
)
def test_how_amounts_are_written(amount, path, text, of_labels):
    assert (amount.path, str(amount), amount.of_labels) == (path, text, of_labels)


def test_numbers_come_before_fractions():
    amounts = label_amounts(None, ["all", 16, "2"])
    assert [*map(str, sorted(amounts))] == ["2 labels", "16 labels", "100 %"]


@pytest.mark.parametrize(
    ("fractions", "numbers", "words"),
    [
        ([5.0], None, "5 % is 0.05"),
        ([0], None, r"in \(0, 1\], got 0"),
        (None, ["0"], "at least 1, got 0"),
        (None, ["2.5"], "whole number or `all`, got 2.5"),
        ([0.5], ["2"], "not both"),
    ],
)
def test_other_amounts_are_refused(fractions, numbers, words):
    with pytest.raises(UserError, match=words):
        label_amounts(fractions, numbers)
