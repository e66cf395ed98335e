"""Finds label maps that have different values for the same: 1 in some files, and 255 in those of image programs."""

from collections.abc import Collection, Mapping

from sslmed.core.text import count, shorten


def mixed_values(values: Mapping[str, Collection[int]]) -> str | None:
    """Say which label maps have 1 and which 255, if no map has both, and none another value but 0.

    Args:
        values: Name of a case -> the values in its label map.

    Returns:
        One line; `None` if there is nothing to say.
    """
    marked = {case: {*of_case} - {0} for case, of_case in values.items()}
    of = {value: [case for case in marked if marked[case] == {value}] for value in (1, 255)}
    if not all(of.values()) or any(marked[case] for case in marked if case not in (*of[1], *of[255])):
        return None
    parts = [f"0 and {value} in {count(len(cases), 'mask')} ({shorten(cases)})" for value, cases in of.items()]
    return f"values are {', '.join(parts)}: 1 and 255 would be two classes; write the same value in all masks"
