"""Imports the training stack faster: it makes a million objects, and none of them is garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Do not search for garbage meanwhile, which saves a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
