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
    Dropout = float
    Fraction = float
else:
    Count = restricted_number_type("a_whole_number_from_1", int, (">=", 1))
    Index = NonNegativeInt
    Folds = restricted_number_type("a_whole_number_from_2", int, (">=", 2))
    Threads = restricted_number_type("a_whole_number_from_1_to_1024", int, [(">=", 1), ("<=", 1024)])
    Seed = restricted_number_type("a_whole_number_from_0_to_4294967295", int, [(">=", 0), ("<", 2**32)])
    Amount = restricted_number_type("a_number_from_0", float, [(">=", 0), ("<", float("inf"))])
    Dropout = restricted_number_type("a_fraction_from_0_to_below_1", float, [(">=", 0), ("<", 1)])
    Fraction = ClosedUnitInterval
