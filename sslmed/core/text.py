"""Formats quantities for readers."""

from collections.abc import Mapping, Sequence

NAMED = 3
"""How many items of a list are named."""


def shorten(names: Sequence[str]) -> str:
    """Name the first few of many: `a, b, c and 9 more`; cases by their paths."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(path_of, names[:NAMED])) + more


def path_of(case: str) -> str:
    """Return the path that the id of a case stands for: `patient 07/t1` for `patient 07%2Ft1`."""
    return case.replace("%2F", "/").replace("%2E", ".").replace("%25", "%")


def count(number: int, noun: str) -> str:
    """Format a number of things: `1 fold`, `3 folds`, `1,230 runs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def by_spaces(value: str) -> str:
    """End a message about a wrong value of a list, if it has commas: `; separate values by spaces`, or nothing."""
    return "; separate values by spaces" if "," in value else ""


def image_counts(counts: Mapping[str, int]) -> str:
    """Format the images of pretraining: `10 of 40 images (others: 2 for validation, 28 copies of another image)`.

    Args:
        counts: Number of images by what became of them, `used` first.
    """
    used, total = counts["used"], sum(counts.values())
    others = ", ".join(f"{number} {reason}" for reason, number in counts.items() if number and reason != "used")
    return f"{used} of {total} images" + (f" (others: {others})" if others else "")


def duration(seconds: float) -> str:
    """Format seconds as `42 s`, `12 min`, `3 h 20 min` or `5.4 days`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"
