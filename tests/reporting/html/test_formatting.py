"""Numbers of the report."""

import pytest

from sslmed.reporting.html.formatting import MINUS, difference, interval, score


@pytest.mark.parametrize("value", [-0.0, -0.0004, 0.0004])
def test_what_rounds_to_zero_has_no_minus(value):
    assert score(value) == "0.000"
    assert difference(value) == "+0.000"
    assert interval(value, 0.01, signed=True) == "[+0.000, +0.010]"
    assert score(-0.0006) == f"{MINUS}0.001"
