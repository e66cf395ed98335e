"""Defines the errors that the command prints as plain lines: exit status 2 if a user can fix them, else 1."""

from collections.abc import Sequence
from typing import NoReturn


def printable(line: str) -> str:
    """Write what a terminal would not show, or would obey, as in Python: a file can hold any character."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


class UserError(Exception):
    """Reports invalid input; the message says what was given, what was expected, and how to fix it."""


class DataError(UserError):
    """Reports files of a dataset that cannot be used.

    Args:
        problems: One line per problem, with the file and how to fix it.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(map(printable, problems))
        super().__init__("\n".join(self.problems))


def refuse(place: object, problem: str) -> NoReturn:
    """Raise a `DataError` of one line about a file, or another place of a dataset."""
    raise DataError([f"{place}: {problem}"])


class RunError(Exception):
    """Reports a run that failed although its input is valid, e.g. because training diverged; the exit status is 1."""


class InputError(UserError, ValueError):
    """Reports a tensor or an argument that a network or a task does not accept; the message has the numbers."""
