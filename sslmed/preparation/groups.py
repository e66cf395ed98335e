"""Which cases must stay together: those of one patient, and copies of an image."""

from collections.abc import Iterable, Mapping


def merge_groups(keys: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Put cases that share a key, directly or through others, into one group, named after its first case.

    Args:
        keys: Case id -> what must stay together, e.g. the patient, and the digest of the image.
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
