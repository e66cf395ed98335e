"""Mistakes a user can mend: the command prints them as plain lines and exits with status 2."""

from collections.abc import Sequence


class UserError(Exception):
    """Something the user gave cannot be used; the message says what came, what was expected, and the cure."""


class DataError(UserError):
    """Files of a dataset cannot be used.

    Args:
        problems: One line per problem, each naming the file and the cure.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class InputError(UserError, ValueError):
    """A tensor or an argument that a network or a task cannot take; the message has the numbers."""
