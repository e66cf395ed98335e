"""Numbers in a range."""

import pickle

import pytest
from jsonargparse import ArgumentParser

from sslmed.core import numbers


@pytest.mark.parametrize("kind", ["Count", "Folds", "Threads", "Seed", "Amount", "Positive", "BelowOne"])
def test_a_worker_gets_a_plain_number(kind: str) -> None:
    text = "0.5" if kind in ("Amount", "Positive", "BelowOne") else "3"
    parser = ArgumentParser()
    parser.add_argument("--value", type=getattr(numbers, kind))
    number = parser.parse_args(["--value", text]).value
    sent = pickle.loads(pickle.dumps(number))
    assert sent == number == float(text)
    assert type(sent) in (int, float)
