"""Describes how many labels a run uses: a fraction of the training cases, or a number of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import total_ordering

from sslmed.core.errors import UserError
from sslmed.core.text import by_spaces

ALL = "all"


@total_ordering
@dataclass(frozen=True, slots=True)
class LabelAmount:
    """Holds a fraction of a fold's training cases, or a number of them. Numbers sort before fractions.

    Attributes:
        fraction: In (0, 1]; 1 is all labels.
        count: At least 1.

    Raises:
        UserError: If none or both are given, or one is out of range.
    """

    fraction: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.count is None):
            raise UserError(
                f"give a label fraction or a number of labels, one of them, got {self.fraction} and {self.count}"
            )
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise UserError(f"a label fraction must be in (0, 1], got {self.fraction}: 5 % is 0.05")
        if self.count is not None and self.count < 1:
            raise UserError(f"a number of labels must be at least 1, got {self.count}")

    @classmethod
    def from_number(cls, number: str | int) -> "LabelAmount":
        """Parse a value of `--labels`: `8`, or `all`, which is the fraction 1.

        Raises:
            UserError: If it is neither a positive whole number nor `all`.
        """
        if number == ALL:
            return cls(fraction=1.0)
        try:
            return cls(count=int(number))
        except ValueError as error:
            got = f"{number}{by_spaces(str(number))}"
            raise UserError(f"a number of labels must be a whole number or `{ALL}`, got {got}") from error

    @classmethod
    def from_path(cls, name: str) -> "LabelAmount":
        """Parse a name written by `path`."""
        if name.startswith("n"):
            return cls(count=int(name[1:]))
        return cls(fraction=float(Decimal(name) / 100))

    @property
    def path(self) -> str:
        """Directory name for a run: `25` for 25 %, `n8` for 8 labels. `from_path` reads exactly this amount again."""
        return f"n{self.count}" if self.fraction is None else f"{(Decimal(str(self.fraction)) * 100).normalize():f}"

    @property
    def option(self) -> tuple[str, str]:
        """Name and value of the matching argument of `LabelledData`."""
        return ("n_labels", str(self.count)) if self.fraction is None else ("label_fraction", str(self.fraction))

    @property
    def of_labels(self) -> str:
        """Text for a sentence: `25 % of the labels`, `8 labels`."""
        return str(self) if self.fraction is None else f"{self} of the labels"

    def __str__(self) -> str:
        """Return `25 %`, `8 labels` or `1 label`."""
        if self.fraction is None:
            return "1 label" if self.count == 1 else f"{self.count} labels"
        return f"{self.path} %"

    def __lt__(self, other: "LabelAmount") -> bool:
        return self._rank < other._rank

    @property
    def _rank(self) -> tuple[bool, float]:
        return self.fraction is not None, self.fraction or self.count or 0


def label_amounts(
    fractions: Sequence[float] | None, numbers: Sequence[str | int] | None
) -> tuple[LabelAmount, ...] | None:
    """Return the amounts listed by `fractions` or `labels` in an option or a file; `None` if neither is given.

    Raises:
        UserError: If both are given, or a value is invalid.
    """
    if fractions is not None and numbers is not None:
        raise UserError("give fractions of the labels, or numbers of labels, not both")
    if numbers is not None:
        return tuple(map(LabelAmount.from_number, numbers))
    return None if fractions is None else tuple(LabelAmount(fraction=fraction) for fraction in fractions)
