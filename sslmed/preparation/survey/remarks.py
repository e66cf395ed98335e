"""What is to be said about the files of a folder."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Remarks:
    """Collects it, while the files are looked at.

    Args:
        notes: What was not certain, and what was left out on purpose, one line each.
        problems: What cannot be used and why, one line each.
        others: Extension -> number of files that are no images.
    """

    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
