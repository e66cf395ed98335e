"""Types of options and settings that are numbers in a range: the parser refuses other numbers, and names the option."""

from typing import TYPE_CHECKING

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, restricted_number_type

if TYPE_CHECKING:
    Count = int
    Index = int
    Folds = int
    Threads = int
    Seed = int
    Amount = float
    Positive = float
    BelowOne = float
    Fraction = float
else:

    def _restricted(words: str, base: type, *limits: tuple[str, float]) -> type:
        """Make a type whose name reads as words; a worker process gets a plain number, as it may not know the type."""
        kind = restricted_number_type(words.replace(" ", "_"), base, list(limits))
        kind.__reduce__ = lambda number: (base, (base(number),))
        return kind

    Count = _restricted("a whole number from 1", int, (">=", 1))
    Index = NonNegativeInt
    Folds = _restricted("a whole number from 2", int, (">=", 2))
    Threads = _restricted("a whole number from 1 to 1024", int, (">=", 1), ("<=", 1024))
    Seed = _restricted("a whole number from 0 to 4294967295", int, (">=", 0), ("<", 2**32))
    Amount = _restricted("a number from 0", float, (">=", 0), ("<", float("inf")))
    Positive = _restricted("a number above 0", float, (">", 0), ("<", float("inf")))
    BelowOne = _restricted("a fraction from 0 to below 1", float, (">=", 0), ("<", 1))
    Fraction = ClosedUnitInterval
