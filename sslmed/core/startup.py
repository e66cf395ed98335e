"""Imports the training stack faster: it makes a million objects, and none of them is garbage."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

LATER = "scipy.signal"
"""What torchmetrics (1.9) and MONAI (1.6) import for three functions that no run calls: a second."""


@contextmanager
def importing() -> Iterator[None]:
    """Do not search for garbage meanwhile, nor among what is imported afterwards; leave `LATER` for later."""
    gc.disable()
    try:
        with _imported_on_call(LATER):
            yield
    finally:
        if not gc.get_freeze_count():  # a second time would keep what an earlier run has left
            gc.freeze()
        gc.enable()


@contextmanager
def _imported_on_call(name: str) -> Iterator[None]:
    """Let those who import a module meanwhile have functions that import it when they are called."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _OnCall(name)
    try:
        yield
    finally:
        del sys.modules[name]


class _OnCall(ModuleType):
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return getattr(import_module(self.__name__), name)(*args, **kwargs)

        return call
