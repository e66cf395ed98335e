"""The amounts of labels that an experiment compares: their places along an axis, and how they are written there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from sslmed.core.label_amount import LabelAmount

DIGITS = 6
"""Of the label fraction that a number of labels stands for: enough to tell the numbers of a million cases apart."""


@dataclass(frozen=True)
class LabelAxis:
    """Label fractions of cells, and what they stand for.

    Folds may differ by a training case. So that a number of labels is one cell, its label fraction is the number over
    the *mean* number of training cases. Hence the logarithm of the fraction is an axis of numbers of labels, too.

    Attributes:
        amounts: Label fraction of each cell, ascending -> amount of labels.
        n_train: Mean number of training cases of the folds.
    """

    amounts: Mapping[float, LabelAmount]
    n_train: float

    @classmethod
    def of(cls, amounts: Iterable[LabelAmount], n_train: Mapping[int, int]) -> "LabelAxis":
        """Place amounts of labels.

        Args:
            amounts: In any order.
            n_train: Fold -> number of its training cases.
        """
        mean = fmean(n_train.values())
        placed = {_fraction(amount, mean): amount for amount in sorted(amounts)}
        return cls(dict(sorted(placed.items())), mean)

    def fraction(self, amount: LabelAmount) -> float:
        """Label fraction of an amount's cell."""
        return _fraction(amount, self.n_train)

    @property
    def by_count(self) -> bool:
        """Whether the experiment compares numbers of labels."""
        return any(amount.count is not None for amount in self.amounts.values())

    def tick(self, fraction: float, n_labels: float) -> tuple[str, str]:
        """Two lines below a cell: `25 %` and `n = 10`, or `8` and `labels`."""
        amount = self.amounts[fraction]
        if amount.fraction is None:
            number, noun = str(amount).split()
            return number, noun
        return str(amount), f"n = {n_labels:.0f}"

    def between(self, fraction: float) -> str:
        """A fraction that is no cell's: `12.3 %`, or `5.3 labels` where numbers are compared."""
        return f"{fraction * self.n_train:.3g} labels" if self.by_count else f"{100 * fraction:.3g} %"


def _fraction(amount: LabelAmount, n_train: float) -> float:
    return round((amount.count or 0) / n_train, DIGITS) if amount.fraction is None else amount.fraction
