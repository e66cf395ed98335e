"""Refuses YAML files that give a key twice, of which every YAML library silently keeps the last."""

from pathlib import Path

import yaml

from sslmed.core.errors import UserError


def refuse_doubled_keys(path: Path) -> None:
    """Refuse a YAML file in which a mapping has a key twice. A file that is no YAML is for its reader to refuse.

    Raises:
        UserError: If a key is there twice.
    """
    try:
        to_check = [yaml.compose(path.read_text(encoding="utf-8"), yaml.CSafeLoader)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    checked: set[int] = set()  # an alias is the same node again
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
