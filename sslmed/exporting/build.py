"""Builds a network from the description of its class and arguments."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser
from torch import nn

from sslmed.core.errors import UserError


def find_class(class_path: str) -> type:
    """Import a class.

    Raises:
        UserError: If it cannot be imported.
    """
    module, _, name = class_path.rpartition(".")
    try:
        found: type = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{class_path}: cannot be imported ({error}); run this where its module is, or put its folder on PYTHONPATH"
        ) from error
    return found


def build_network(described: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Args:
        described: `class_path` and `init_args`, as in a configuration of `sslmed fit`.

    Raises:
        UserError: If its class or arguments cannot be used.
    """
    for path in _class_paths(described):
        find_class(path)  # for a clearer error than the parser's
    class_path = described["class_path"]
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(find_class(class_path), "network")
    try:
        built = parser.instantiate(parser.parse_object({"network": dict(described)}))
    except UserError:
        raise
    except Exception as error:  # jsonargparse raises many errors, and constructors theirs
        raise UserError(f"{class_path}: cannot be built ({' '.join(str(error).split())[:300]})") from error
    network: nn.Module = built["network"]
    return network.eval()


def _class_paths(described: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the paths of all classes in a description, the outermost first."""
    if isinstance(described, Mapping):
        if "class_path" in described:
            yield described["class_path"]
        for value in described.values():
            yield from _class_paths(value)
