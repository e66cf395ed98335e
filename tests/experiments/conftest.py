"""Whole figures without other processes."""

from collections.abc import Iterator

import pytest
from commands import in_this_process


@pytest.fixture(scope="module")
def in_one_process() -> Iterator[None]:
    """Everything is done in this process. Snakemake and its jobs are tested in test_reproduce.py."""
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch)
        yield
