"""Defines the errors that a user can fix. The command prints them as plain lines and exits with status 2."""

from collections.abc import Sequence


class UserError(Exception):
    """Reports invalid input; the message says what was given, what was expected, and how to fix it."""


class DataError(UserError):
    """Reports files of a dataset that cannot be used.

    Args:
        problems: One line per problem, with the file and how to fix it.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class InputError(UserError, ValueError):
    """Reports a tensor or an argument that a network or a task does not accept; the message has the numbers."""
