"""What jsonargparse says about wrong options, in one line with the nearest valid name."""

import importlib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from sslmed.core.errors import UserError
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.core.text import by_spaces

EMPTY = re.compile(
    r"Does not validate against any of the Union subtypes|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value"
    r"|Expected a path but|Expected <class 'NoneType'>"
)
"""Lines that say nothing to a user."""


NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|-(inf|nan)", re.IGNORECASE)
"""A negative number as Python reads it. argparse takes -1e3 and -inf for options."""

RESTRICTED = re.compile(r"(?:element \d+: )?Not of type (\w+): (.*)")
"""What jsonargparse says about a number out of range."""


def refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse arguments without text, as of an unset variable; an empty path would be the working folder.

    Raises:
        UserError: If there is one.
    """
    option = "the first argument"
    for argument in arguments:
        name, assigned, value = argument.partition("=")
        if argument.startswith("-"):
            option = name
        if not argument.strip() or (assigned and name.startswith("--") and not value.strip()):
            raise UserError(f"{option}: expected a value, got an empty one; is a variable unset?")


def separate_config(arguments: Iterable[str]) -> list[str]:
    """Write a YAML file that is given as -cFILE, -c=FILE, --config FILE or --config=FILE as `-c FILE`."""
    separated: list[str] = []
    for argument in arguments:
        option, assigned, value = argument.partition("=")
        if option in ("-c", "--config"):
            separated += ["-c", value] if assigned else ["-c"]
        elif argument.startswith("-c"):
            separated += ["-c", argument.removeprefix("-c")]
        else:
            separated.append(argument)
    return separated


def shield_numbers(arguments: Iterable[str]) -> list[str]:
    """Put a space before numbers such as -1e3, so that argparse does not take them for options."""
    return [f" {each}" if NUMBER.fullmatch(each) else each for each in arguments]


def one_line(message: str, options: Collection[str], classes: Iterable[str] = ()) -> str:
    """Say in one line what a parser refuses.

    Args:
        message: Of jsonargparse or argparse.
        options: All options of the parser, as `--run_dir`, and names of what is given without one.
        classes: Names of classes that may be given.
    """
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    text = " ".join(line for line in lines if line and not EMPTY.match(line))
    key = ".".join(re.findall(r'Parser key "([^"]+)"', text))
    option = _as_option(key, options)
    text = re.sub(r'Parser key "[^"]+":?\s*', "", text)
    in_list = text.startswith("element ")
    if found := re.match(r"unrecognized arguments: (\S+)", text):
        return _unknown_option(found[1].split("=")[0], options)
    if found := re.match(
        r"Problem with given class_path '([^']+)': Group '([^']+)' does not accept option '([^']+)'", text
    ):
        return _unknown_argument(option, found[1], f"{found[2]}.{found[3]}")
    if found := re.search(r"does not accept option '([^']+)'", text):
        return _unknown_option(f"--{found[1]}", options)
    if found := re.search(r"required: (.*)", text):
        return f"required, and not given: {', '.join(_as_option(name, options) for name in found[1].split(', '))}"
    if found := re.search(r"(?:.*class_path '([^']+)':)? *Option '([^']+)' is not accepted", text):
        return _unknown_argument(option, found[1], found[2])
    if found := re.match(r"Problem with given class_path '([^']+)': unrecognized arguments: --([^\s=]+)", text):
        return _unknown_argument(option, found[1], found[2])
    text = re.sub(r"Problem with given class_path '[^']+': *", "", text)
    if found := re.match(r"Expected a dot import path string: (\S+)", text):
        return f"{option}: no class {found[1]} is known{did_you_mean(found[1], classes)}"
    if found := re.match(r"File does not exist: '(.+)'", text):
        return f"{found[1]}: no such file{did_you_mean_path(Path(found[1]))}"
    if found := re.match(r"argument (--\S+): (expected .*arguments?)$", text):
        return f"{found[1]}: {found[2]}; write a value that begins with a dash as {found[1]}=-VALUE, a file as ./-NAME"
    if found := re.match(r"Expected an instantiatable class, but (\S+)\.(\w+) is abstract", text):
        return f"{option}: {_abstract(*found.groups())}"
    if found := RESTRICTED.match(text):
        value = _given(message, found[2])
        return f"{option}: expected {_restricted(found[1])}, got {value}{by_spaces(value) if in_list else ''}"
    if found := re.match(r"(?:element \d+: )?Expected an? (.+?)\. Got value: (.*)", text):
        return f"{option}: {_expected(*found.groups())}{by_spaces(found[2]) if in_list else ''}"
    if kinds := re.findall(r"Expected an? (<class '[^']+'>|typing\.Literal\[[^\]]*\])", text):
        return f"{option}: expected {' or '.join(map(_kind, kinds))}, got {_given(message)}"
    return f"{option}: {text}" if key else text


def _as_option(key: str, options: Iterable[str]) -> str:
    """How a key is given: `model.encoder` or `fit.model.encoder` as `--model.encoder`, `hu_window` as `--hu-window`."""
    given = {option.lstrip("-").replace("-", "_"): option for option in options}
    first, *rest = key.split(".")
    if first not in given and rest and rest[0] in given:
        first, *rest = rest
    return ".".join([given.get(first, first), *rest])


def _unknown_option(name: str, options: Iterable[str]) -> str:
    if not name.startswith("-"):
        cure = f"; a run is given by -c {name}/config.yaml" if (Path(name) / "config.yaml").is_file() else ""
        return f"{name}: expected an option here, which begins with --{cure}"
    return f"{name}: no such option{did_you_mean(name, [option for option in options if option.startswith('--')])}"


def _abstract(module: str, name: str) -> str:
    made_by = getattr(importlib.import_module(module), name)
    return f"'{name}' of '{module}' lacks {', '.join(sorted(made_by.__abstractmethods__))}, which it must define"


def _unknown_argument(option: str, class_path: str | None, name: str) -> str:
    if class_path is None:
        return f"{option}.{name}: no such option"
    module, _, kind = class_path.rpartition(".")
    made_by = getattr(importlib.import_module(module), kind)
    *outer, last = name.split(".")
    first = f"{option}.{name.partition('.')[0]}"
    for part in outer:  # into a dataclass, as the `optimization` of a model
        annotation = _parameters(made_by).get(part)
        nested = next((each for each in (annotation, *get_args(annotation)) if is_dataclass(each)), None)
        if nested is None:
            last = part
            break
        made_by, option = nested, f"{option}.{part}"
    if last in _parameters(made_by):  # of a base, whose parameters a class of the user's own need not take
        return f"{first}: {kind} does not take {first.rpartition('.')[2]}; add it to its constructor, and pass it on"
    listed = f"; it has {', '.join(field.name for field in fields(made_by))}" if is_dataclass(made_by) else ""
    cure = did_you_mean(last, _parameters(made_by)) or listed
    return f"{option}.{last}: {made_by.__name__} has no such option{cure}"


def _parameters(made_by: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a class, also those that it passes on to its bases, or of a function -> their types."""
    bases = made_by.__mro__ if isinstance(made_by, type) else ()
    constructors = [made_by, *(vars(base)["__init__"] for base in bases if "__init__" in vars(base))]
    return {name: each.annotation for of in constructors for name, each in inspect.signature(of).parameters.items()}


def _expected(kind: str, value: str) -> str:
    known = _choices(kind)
    return f"expected {_kind(kind)}, got {value}{did_you_mean(value, known) if known else ''}"


def _kind(kind: str) -> str:
    """What a type is called."""
    names = {"int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list"}
    plain = re.sub(r"<class '(?:\w+\.)*(\w+)'>", lambda found: names.get(found[1], found[1]), kind)
    return " or ".join(_choices(kind)) or plain


def _choices(kind: str) -> list[str]:
    choices = re.match(r"typing\.Literal\[(.*)\]", kind)
    return [choice.strip("' ") for choice in choices[1].split(",")] if choices else []


def _restricted(name: str) -> str:
    """What a number in a range is called; see `sslmed.core.numbers`."""
    names = {"NonNegativeInt": "a whole number from 0", "ClosedUnitInterval": "a fraction from 0 to 1"}
    return names.get(name, name.replace("_", " "))


def _given(message: str, problem: str = "") -> str:
    """The value that was given, from the parser's message."""
    found = re.search(r"Given value: (.*)", message) or re.match(r"(.*?) ?does not conform", problem)
    value = found[1] if found else problem.rpartition(": ")[2]
    nested = re.fullmatch(r"NestedArg\(key='[^']*', val=(.*)\)", value)
    return (nested[1] if nested else value).strip("' ")
