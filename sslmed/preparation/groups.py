"""Groups the cases that must stay together: those of one patient, and copies of an image."""

from collections.abc import Iterable, Mapping


def merge_groups(keys: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Group cases that have a key in common, directly or through other cases (connected components).

    Args:
        keys: Case id -> its keys, e.g. the patient and the digest of the image.

    Returns:
        Case id -> name of its group, the first case in it.
    """
    parent = {case: case for case in sorted(keys)}

    def first(case: str) -> str:
        while parent[case] != case:
            case = parent[case]
        return case

    seen: dict[str, str] = {}
    for case in parent:
        for key in keys[case]:
            earlier, later = sorted((first(case), first(seen.setdefault(key, case))))
            parent[later] = earlier
    return {case: first(case) for case in parent}
