"""Checks names that a user gives to folders and files, and that become those of runs, options and cells of tables."""

import re

from sslmed.core.errors import UserError

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""Names of arms: they are keys in YAML, and parts of options."""

TROUBLE = frozenset("\"'`$:;\\/{}[]<>|*?!#&%@=~^,")
"""YAML, shells, Snakemake, matplotlib or CSV give these characters a meaning of their own."""

LONGEST = 100  # characters; other parts are added, and a file name has at most 255 bytes


def check_name(name: str, source: object) -> None:
    """Check a name of a dataset or a preset, which can have letters of any script and spaces.

    Args:
        name: The name.
        source: The file or the folder that it is the name of, for the message.

    Raises:
        UserError: If it would be read as something else than a name.
    """
    bad = sorted(TROUBLE.intersection(name)) + [repr(letter) for letter in name if not letter.isprintable()]
    edges = name != name.strip() or name.startswith(("-", ".")) or name.endswith(".") or not name or len(name) > LONGEST
    if bad or edges:
        shown = source if str(source).isprintable() else repr(str(source))
        reason = (
            f"has {' '.join(bad)}" if bad else "is empty or too long, or begins or ends with a space, a dash or a dot"
        )
        raise UserError(
            f"{shown}: its name {name!r} {reason}, and is to be that of folders and options: rename it, or link to "
            "it by another name, in letters, digits, spaces and . _ - + ( )"
        )
