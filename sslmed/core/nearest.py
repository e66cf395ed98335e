"""The nearest valid name, for what a user mistyped."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a message about an unknown name: `; did you mean rotation?`, or nothing where no known name is near."""
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def did_you_mean_path(path: Path, suffixes: Iterable[str] = ()) -> str:
    """End a message about a path that is absent with the nearest one in its folder.

    Args:
        path: What was given.
        suffixes: Endings of files to look at; all by default.
    """
    if not path.parent.is_dir():
        return ""
    suffixes = tuple(suffixes)
    files = (each for each in path.parent.iterdir() if not suffixes or each.suffix in suffixes)
    paths = {each.name: str(each) for each in files if not each.name.startswith(".")}
    near = get_close_matches(path.name, paths, n=1)
    return f"; did you mean {paths[near[0]]}?" if near else ""
