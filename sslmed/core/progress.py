"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_DETAILS = 30.0
"""How long there is no line while no step is done."""


class Advance(Protocol):
    """Says that steps are done; `detail` is what else is known at the moment."""

    def __call__(self, steps: int = 1, detail: str = "") -> None:
        """Show it."""


@contextmanager
def progress(description: str, total: int, *, unit: str = "cases") -> Iterator[Advance]:
    """Show the progress of long work on standard error.

    Args:
        description: The kind of work, e.g. `"preparing"`.
        total: Number of steps.
        unit: Name of the steps, in the plural.

    Yields:
        A function to call once after each step, or, in a long step, with no step and a detail.
    """
    console = Console(stderr=True)
    shown = _bar(console, description, total) if console.is_terminal else _lines(description, total, unit)
    with shown as advance:
        yield advance


@contextmanager
def _bar(console: Console, description: str, total: int) -> Iterator[Advance]:
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _RestColumn(table_column=Column(ratio=1)),
    )
    with Progress(*columns, console=console, expand=True) as bar:
        task = bar.add_task(description, total=total, detail="")

        def advance(steps: int = 1, detail: str = "") -> None:
            bar.update(task, advance=steps, detail=detail or bar.tasks[task].fields["detail"])

        yield advance


class _RestColumn(TimeRemainingColumn):
    """What is known of the rest: the details, or else the time remaining at the pace so far."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["detail"]) if task.fields["detail"] else super().render(task)


@contextmanager
def _lines(description: str, total: int, unit: str) -> Iterator[Advance]:
    done = 0
    last_line = time.monotonic()

    def advance(steps: int = 1, detail: str = "") -> None:
        nonlocal done, last_line
        done += steps
        now = time.monotonic()
        pause = SECONDS_BETWEEN_LINES if steps else SECONDS_BETWEEN_DETAILS
        if (steps and done == total) or now - last_line >= pause:
            last_line = now
            more = f"; {detail}" if detail else ""
            print(f"{description}: {done} of {total} {unit}{more}", file=sys.stderr, flush=True)

    yield advance
