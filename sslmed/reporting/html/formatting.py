"""Formats of numbers in the report."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
INFINITY = "\N{INFINITY}"


def score(value: float) -> str:
    """Three digits: `0.812`; a dash if there is none."""
    return NONE if isnan(value) else _digits(f"{value:z.3f}")


def difference(value: float) -> str:
    """Three digits with a sign: `+0.012`; a dash if there is none."""
    return NONE if isnan(value) else _digits(f"{value:+z.3f}")


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """`[0.790, 0.834]`; nothing if there is none."""
    write = difference if signed else score
    return "" if isnan(low) or isnan(high) else f"[{write(low)}, {write(high)}]"


def effect(test: Mapping[Any, Any]) -> str:
    """`cpc +0.061 [+0.030, +0.092]`: an arm's difference to the baseline, in a row of tests.csv."""
    return f"{test['arm']} {difference(test['diff'])} {interval(test['diff_low'], test['diff_high'], signed=True)}"


def p_value(value: float) -> str:
    """`0.032`, `< 0.001`; a dash if there is none."""
    if isnan(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def memory(n_bytes: float) -> str:
    """`0.52 GiB`."""
    return f"{n_bytes / 2**30:.2f} GiB"


def listing(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _digits(text: str) -> str:
    return text.replace("-", MINUS).replace("inf", INFINITY)
