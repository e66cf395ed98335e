"""Finds classes and values that may stand for a missing one."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from sslmed.core.text import count

CODES = (-9999, -999, -99, 999, 9999)
FAR = 10  # standard deviations of the other values from their mean
WORDS = {"none", "unknown", "missing", *map(str, CODES)}  # others, as n/a, are refused


def missing_labels(column: str, labels: Iterable[str | float]) -> list[str]:
    """Return a note if classes (text) or values (numbers) of cases may stand for a missing one.

    Args:
        column: Name of their column.
        labels: That of each labelled case.
    """
    given = Counter(labels)
    others = [value for value in given.elements() if not isinstance(value, str) and value not in CODES]
    found = [
        f"{label if isinstance(label, str) else f'{label:g}'} ({count(number, 'case')})"
        for label, number in given.items()
        if (label.lower() in WORDS if isinstance(label, str) else label in CODES and _is_far(label, others))
    ]
    may = f"the {column} {', '.join(found)} may stand for a missing one; if it does, leave the cells empty"
    return [may] if found else []


def _is_far(value: float, others: list[float]) -> bool:
    return bool(others) and bool(abs(value - np.mean(others)) >= FAR * np.std(others))
