"""Options of a subcommand, made from dataclasses: their fields, types, defaults and docstrings."""

from argparse import SUPPRESS, Action
from collections.abc import Collection, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from sslmed.cli.spacing import FLAG, WORDS, read_spacing
from sslmed.core.errors import UserError
from sslmed.core.files import expand_home
from sslmed.core.numbers import Count, Index
from sslmed.core.parsing import one_line, shield_numbers

METAVARS = {int: "N", Count: "N", Index: "N", float: "X", Path: "PATH", int | str: "N"}


class HelpFormatter(DefaultHelpFormatter):
    """Shows defaults; types show in the names of values."""

    def format_help(self) -> str:
        """Show the flag that stands for an option and a word as these."""
        return super().format_help().replace(FLAG, WORDS)

    def _get_help_string(self, action: Action) -> str:
        if action.required or action.default is None or action.default is False or action.default == SUPPRESS:
            return action.help or ""
        default = action.default if isinstance(action.default, list) else [action.default]
        return f"{action.help} (default: {' '.join(map(str, default))})"


class Parser(ArgumentParser):
    """Says what is wrong in one line, as all errors of a user are said."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message.

        Raises:
            UserError: Always.
        """
        options = [option for action in self._actions for option in action.option_strings or [action.dest]]
        raise UserError(one_line(message, options)) from ex


def parse(arguments: Sequence[str], parser: Parser, kinds: Sequence[type], positional: Sequence[str]) -> list[Any]:
    """Read what was given after a subcommand. A leading `~` is the home directory.

    A field `hu_window: tuple[float, float]` becomes `--hu-window LOW HIGH`, a sequence takes one value or more, and a
    `bool` is a flag.

    Args:
        arguments: As given.
        parser: Of the subcommand; its options are added.
        kinds: Dataclasses.
        positional: Fields that are given without a name.

    Returns:
        One object of each dataclass.

    Raises:
        UserError: If the arguments cannot be used.
    """
    for kind in kinds:
        _add(parser, kind, positional)
    several = [action.option_strings[0] for action in parser._actions if action.option_strings and action.nargs == "+"]
    plain = read_spacing(arguments, parser._option_string_actions)
    gathered = _gather(shield_numbers(plain), several)
    given = {name: _expanded(value) for name, value in vars(parser.parse_args(gathered)).items()}
    return [kind(**{field.name: given[field.name] for field in fields(kind)}) for kind in kinds]


def _gather(arguments: Sequence[str], several: Collection[str]) -> list[str]:
    """Put the values of an option that is given again together: `--pool a --pool b` is `--pool a b`."""
    values: dict[str, list[str]] = {"": []}
    option = ""
    end = [*arguments, "--"].index("--")
    for argument in arguments[:end]:
        name, is_given, value = argument.partition("=")
        if argument.startswith("-"):
            option = name if name in several else ""
        if name in several:
            values.setdefault(name, []).extend([value] if is_given else [])
        else:
            values[option].append(argument)
    return [*values.pop(""), *(word for name, words in values.items() for word in (name, *words)), *arguments[end:]]


def _expanded(value: Any) -> Any:  # noqa: ANN401 - any option
    return [expand_home(each) for each in value] if isinstance(value, list) else expand_home(value)


def _add(parser: Parser, kind: type, positional: Sequence[str]) -> None:
    hints = get_type_hints(kind)
    texts = {param.arg_name: param.description for param in docstring_parser.parse(kind.__doc__ or "").params}
    for field in fields(kind):
        shape = _shape(hints[field.name])
        shape["help"] = " ".join((texts[field.name] or "").split()).replace("%", "%%")
        if field.name in positional:
            parser.add_argument(field.name, **shape)
        else:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            shape |= {"required": True} if default is MISSING else {"default": default}
            parser.add_argument(f"--{field.name.replace('_', '-')}", **shape)


def _shape(hint: Any) -> dict[str, Any]:  # noqa: ANN401 - any type
    """What argparse must know of a type: whether it is a flag, and how many values of which type it takes."""
    if hint is bool:
        return {"action": "store_true"}
    parts = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) in (Union, UnionType) and len(parts) == 1:
        return _shape(parts[0])
    if get_origin(hint) is tuple:
        return {"type": parts[0], "nargs": len(parts), "metavar": METAVARS[parts[0]]}
    if get_origin(hint) is Sequence:
        return {"type": parts[0], "nargs": "+", "metavar": METAVARS.get(parts[0], "NAME")}
    return {"type": hint, "metavar": METAVARS[hint]} if hint in METAVARS else {"type": hint}
