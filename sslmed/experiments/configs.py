"""The YAML files that describe experiments: where sslmed's own are, and how one is read and checked."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from jsonargparse import ArgumentParser

from sslmed.core.errors import UserError
from sslmed.core.parsing import one_line
from sslmed.core.yaml_files import read_mapping

Settings = TypeVar("Settings")

PACKAGE = Path(__file__).resolve().parents[1]


def config_root() -> Path:
    """Return the folder of YAML files: inside an installed package, beside it in a checkout."""
    return next(path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if path.is_dir())


def known_names(folder: str) -> list[str]:
    """The names of what `configs/<folder>/` holds: `experiments`, `encoder` and so on."""
    return sorted(path.stem for path in (config_root() / folder).glob("*.yaml"))


def is_yaml(name: str) -> bool:
    """Whether an argument is the path of a YAML file rather than a name."""
    return name.endswith((".yaml", ".yml"))


def read_settings(kind: type[Settings], path: Path) -> Settings:
    """Read a dataclass from a YAML file.

    Raises:
        UserError: If the file has unknown or missing keys, or values of a wrong type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "settings")
    content = read_mapping(path)
    try:
        settings: Settings = parser.instantiate(parser.parse_object({"settings": content})).settings
    except Exception as error:  # jsonargparse raises exceptions of its own. All mean that the file is not valid.
        known = [f"--{name}" for name in _keys(kind)]
        raise UserError(f"{path}: {one_line(str(error), known).replace('--', '')}") from error
    return settings


def _keys(kind: Any) -> Iterator[str]:  # noqa: ANN401 - a dataclass
    """Yield the names of a dataclass's fields, and `prepare.size` of those that are dataclasses themselves."""
    for name, hint in get_type_hints(kind).items():
        yield name
        for part in filter(is_dataclass, (hint, *get_args(hint))):
            yield from (f"{name}.{each}" for each in _keys(part))
