"""The amounts of labels of an experiment on an axis: positions and tick labels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from sslmed.core.label_amount import LabelAmount

DIGITS = 6
"""Digits of the label fraction of a number of labels: enough to distinguish numbers up to a million cases."""


@dataclass(frozen=True)
class LabelAxis:
    """Converts amounts of labels to label fractions of cells, and back.

    Folds may differ by one training case. A number of labels is still one cell, because its label fraction is the
    number over the *mean* number of training cases. So a logarithmic axis of fractions is also one of numbers.

    Attributes:
        amounts: Label fraction of each cell, ascending -> amount of labels.
        n_train: Mean number of training cases of the folds.
    """

    amounts: Mapping[float, LabelAmount]
    n_train: float

    @classmethod
    def of(cls, amounts: Iterable[LabelAmount], n_train: Mapping[int, int]) -> "LabelAxis":
        """Compute the label fractions of amounts of labels.

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
        """Return the two lines of a tick label: `25 %` and `n = 10`, or `8` and `labels`."""
        amount = self.amounts[fraction]
        if amount.fraction is None:
            number, noun = str(amount).split()
            return number, noun
        return str(amount), f"n = {n_labels:.0f}"

    def between(self, fraction: float) -> str:
        """Format a fraction between cells: `12.3 %`, or `5.3 labels` where numbers are compared."""
        return f"{fraction * self.n_train:.3g} labels" if self.by_count else f"{100 * fraction:.3g} %"


def _fraction(amount: LabelAmount, n_train: float) -> float:
    return round((amount.count or 0) / n_train, DIGITS) if amount.fraction is None else amount.fraction
