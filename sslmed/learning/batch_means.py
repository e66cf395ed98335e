"""Means over all cases of what is measured batch by batch, on one rank or several."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from sslmed.learning.distributed import merge


class BatchMeans:
    """Collects the values of batches.

    Each batch counts once, also where an idle rank has repeated it, and sums are rounded once: the means do not depend
    on how batches were dealt out, and are the same on every rank.
    """

    def __init__(self) -> None:
        self._batches: dict[tuple[str, ...], dict[str, float]] = {}

    def add(self, cases: Sequence[str], values: Mapping[str, Tensor | float]) -> None:
        """Add the values of a batch of cases."""
        self._batches[tuple(cases)] = {name: float(value) for name, value in values.items()}

    def means(self) -> dict[str, float]:
        """Give the means over the cases of all ranks, which all have to ask for them, and start anew."""
        batches = merge(self._batches)
        self._batches = {}
        n_cases = sum(map(len, batches))
        names = next(iter(batches.values()))
        return {
            name: math.fsum(len(cases) * values[name] for cases, values in batches.items()) / n_cases for name in names
        }
