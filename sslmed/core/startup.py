"""Imports the training stack faster: it creates a million objects, and none of them is garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def importing() -> Iterator[None]:
    """Disable garbage collection during imports, and exclude the imported objects from it afterwards.

    The start takes 4.0 s of processor time with this, and 4.9 s without.
    """
    gc.disable()
    try:
        yield
    finally:
        _freeze_once()
        gc.enable()


@cache
def _freeze_once() -> None:
    """A second freeze would keep leftovers of an earlier run."""
    gc.freeze()
