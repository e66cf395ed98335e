"""Averages batch-wise measurements over all cases, on one or several ranks."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from sslmed.learning.distributed import merge


class BatchMeans:
    """Collects the values of batches and averages them over cases.

    Each batch counts once, even if an idle rank has repeated it. Sums are rounded once. So the means do not depend on
    the distribution of batches over ranks, and are the same on every rank.
    """

    def __init__(self) -> None:
        self._batches: dict[tuple[str, ...], dict[str, float]] = {}

    def add(self, cases: Sequence[str], values: Mapping[str, Tensor | float]) -> None:
        """Add the values of a batch.

        Args:
            cases: Ids of the cases.
            values: Name -> mean over the batch, `()`.
        """
        self._batches[tuple(cases)] = {name: float(value) for name, value in values.items()}

    def means(self) -> dict[str, float]:
        """Return the means over the cases of all ranks, and reset. Every rank must call it."""
        batches = merge(self._batches)
        self._batches = {}
        n_cases = sum(map(len, batches))
        names = next(iter(batches.values()))
        return {
            name: math.fsum(len(cases) * values[name] for cases, values in batches.items()) / n_cases for name in names
        }
