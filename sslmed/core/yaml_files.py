"""Reads YAML files, and refuses those that give a key twice, of which every YAML library silently keeps the last."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from sslmed.core.errors import UserError


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - any YAML
    """Read a YAML file.

    Raises:
        UserError: If it is not valid, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root, content = yaml.compose(text, yaml.CSafeLoader), yaml.load(text, yaml.CSafeLoader)
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    _refuse_doubled_keys(path, root)
    return content


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file whose content is a mapping.

    Raises:
        UserError: If it is not, or the file is not valid.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping, got {type(content).__name__}")
    return content


def settings_in(content: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML
    """Return each setting of a YAML file by its keys without `init_args`, as in `model.encoder.dropout`.

    Files may leave `init_args` out too, and write keys with dots: `data: {split_seed: 1}`, `data.split_seed: 1`.
    """
    return dict(_flat(content, ""))


def find_setting(contents: Iterable[Any], place: str, default: Any) -> Any:  # noqa: ANN401 - any YAML
    """Find a setting in YAML files, of which later ones take precedence; see `settings_in`."""
    for content in reversed([*contents]):
        settings = settings_in(content)
        if place in settings:
            return settings[place]
    return default


def _flat(content: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any YAML
    yield place.replace(".init_args", "").removeprefix("."), content
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _flat(value, f"{place}.{key}")


def _refuse_doubled_keys(path: Path, root: yaml.Node | None) -> None:
    to_check, checked = [root], set[int]()  # an alias is the same node again
    while to_check:
        node = to_check.pop()
        if id(node) in checked:
            continue
        checked.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _check(path, [key for key, _ in node.value])
            to_check += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            to_check += node.value


def _check(path: Path, keys: list[yaml.Node]) -> None:
    lines: dict[str, int] = {}
    for key in keys:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            raise UserError(f"{path}: gives {name} twice, on the lines {lines[name]} and {line}; keep one")
        lines[name] = line
