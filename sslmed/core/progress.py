"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5.0

Advance = Callable[[], None]


@contextmanager
def progress(description: str, total: int, *, unit: str = "cases") -> Iterator[Advance]:
    """Show the progress of long work on standard error.

    Args:
        description: The kind of work, e.g. `"preparing"`.
        total: Number of steps.
        unit: Name of the steps, in the plural.

    Yields:
        A function to call once after each step.
    """
    console = Console(stderr=True)
    shown = _bar(console, description, total) if console.is_terminal else _lines(description, total, unit)
    with shown as advance:
        yield advance


@contextmanager
def _bar(console: Console, description: str, total: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def _lines(description: str, total: int, unit: str) -> Iterator[Advance]:
    done = 0
    last_line = time.monotonic()

    def advance() -> None:
        nonlocal done, last_line
        done += 1
        now = time.monotonic()
        if done == total or now - last_line >= SECONDS_BETWEEN_LINES:
            last_line = now
            print(f"{description}: {done} of {total} {unit}", file=sys.stderr, flush=True)

    yield advance
