"""What jsonargparse says about wrong options, in one line with the nearest valid name."""

import importlib
import inspect
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from sslmed.core.nearest import did_you_mean, did_you_mean_path

EMPTY = re.compile(
    r"Does not validate against any of the Union subtypes|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value"
    r"|Expected a path but|Expected <class 'NoneType'>"
)
"""Lines that say nothing to a user."""


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
    if found := re.match(r"unrecognized arguments: (\S+)", text):
        return _unknown_option(found[1].split("=")[0], options)
    if found := re.search(r"does not accept option '([^']+)'", text):
        return _unknown_option(f"--{found[1]}", options)
    if found := re.search(r"required: (.*)", text):
        return f"required, and not given: {', '.join(_as_option(name, options) for name in found[1].split(', '))}"
    if found := re.search(r"(?:.*class_path '([^']+)':)? *Option '([^']+)' is not accepted", text):
        return _unknown_argument(option, found[1], found[2])
    text = re.sub(r"Problem with given class_path '[^']+': *", "", text)
    if found := re.match(r"Expected a dot import path string: (\S+)", text):
        return f"{option}: no class {found[1]} is known{did_you_mean(found[1], classes)}"
    if found := re.match(r"File does not exist: '(.+)'", text):
        return f"{found[1]}: no such file{did_you_mean_path(Path(found[1]))}"
    if found := re.match(r"(?:element \d+: )?Expected an? (.+?)\. Got value: (.*)", text):
        return f"{option}: {_expected(*found.groups())}"
    return f"{option}: {text}" if key else text


def _as_option(key: str, options: Iterable[str]) -> str:
    """How a key is given: `model.encoder` or `fit.model.encoder` as `--model.encoder`, `hu_window` as `--hu-window`."""
    given = {option.lstrip("-").replace("-", "_"): option for option in options}
    first, *rest = key.split(".")
    if first not in given and rest and rest[0] in given:
        first, *rest = rest
    return ".".join([given.get(first, first), *rest])


def _unknown_option(name: str, options: Iterable[str]) -> str:
    return f"{name}: no such option{did_you_mean(name, [option for option in options if option.startswith('--')])}"


def _unknown_argument(option: str, class_path: str | None, name: str) -> str:
    if class_path is None:
        return f"{option}.{name}: no such option"
    module, _, kind = class_path.rpartition(".")
    known = inspect.signature(getattr(importlib.import_module(module), kind)).parameters
    return f"{option}.{name}: {kind} has no such option{did_you_mean(name, known)}"


def _expected(kind: str, value: str) -> str:
    if choices := re.match(r"typing\.Literal\[(.*)\]", kind):
        known: Sequence[str] = [choice.strip("' ") for choice in choices[1].split(",")]
        return f"expected {' or '.join(known)}, got {value}{did_you_mean(value, known)}"
    names = {"int": "a whole number", "float": "a number", "bool": "true or false"}
    plain = re.sub(r"<class '(?:\w+\.)*(\w+)'>", lambda found: names.get(found[1], found[1]), kind)
    return f"expected {plain}, got {value}"
