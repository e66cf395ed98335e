"""Self-supervised pretraining for medical images whose benefit one can trust."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslmed.exporting.model import load

__version__ = "0.2.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - torch is imported only if it is needed
    if name == "load":
        from importlib import import_module

        return import_module("sslmed.exporting.model").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
