"""Compares the names of channels, where they have names."""

import re
from collections.abc import Sequence

UNNAMED = ("channel",)  # the name of a channel without a name
MODALITIES = ("CT", "MR", "NM", "PT", "US")  # as DICOM names them
ANY_MR = ("mr", "mri")  # what scanners write for T1, T2 and all others


def agree(there: Sequence[str], here: Sequence[str]) -> bool:
    """Return whether channels may be the same in the same order; those without names may be any."""
    return len(there) == len(here) and all(map(_agree, there, here))


def in_another_order(there: Sequence[str], here: Sequence[str]) -> bool:
    """Return whether channels have the same names, but not in the same order."""
    return not agree(there, here) and sorted(map(str.casefold, there)) == sorted(map(str.casefold, here))


def name_channels(count: int) -> tuple[str, ...]:
    """Return the names of channels without names."""
    return UNNAMED if count == 1 else tuple(f"channel {number}" for number in range(1, count + 1))


def order_note(names: Sequence[str]) -> list[str]:
    """Return a note if there are several channels without names."""
    if len(names) == 1 or tuple(names) != name_channels(len(names)):
        return []
    how = "name them in a table's column modality, as T1;T2"
    return [f"the {len(names)} channels have no names, so nothing checks that all images have them in one order; {how}"]


def _agree(there: str, here: str) -> bool:
    names = {there.strip().casefold(), here.strip().casefold()}
    if len(names) == 1 or any(re.fullmatch(r"channel( \d+)?", name) for name in names):
        return True
    return not names.isdisjoint(ANY_MR) and names.isdisjoint(name.casefold() for name in MODALITIES if name != "MR")
