"""`sslmed prepare`: check a dataset's files and write them as normalised, memory-mapped arrays."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sslmed.core.errors import UserError
from sslmed.core.numbers import Count
from sslmed.preparation.download.known import KNOWN
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Task
from sslmed.preparation.settings import PrepareSettings

if TYPE_CHECKING:
    from sslmed.preparation.store import Store

EPILOG = (
    f"Known datasets: {', '.join(KNOWN)}. The same command resumes one that was interrupted. "
    "Exit status 2 if a file cannot be used: one line for each."
)
POSITIONAL = ("data",)


@dataclass(frozen=True)
class Options:
    """What to prepare.

    Attributes:
        data: A table (CSV), a folder with a table.csv, in MSD or APTOS layout, or of loose images, or a known dataset;
            or several, which become one.
        store: Folder for the prepared arrays.
        task: Task whose labels to take from a table that has several columns of them: mask, class or value.
        pool: Take all images and no label, and leave out those that cannot be used.
        jobs: Worker processes; all cores by default. With 1, the command itself does the work.
        downloads: Where downloads go.
        auto_spacing: Resample to a spacing that is chosen from the volumes.
    """

    data: Sequence[str]
    store: Path
    task: Task | None = None
    pool: bool = False
    jobs: Count | None = None
    downloads: Path = Path("data")
    auto_spacing: bool = False


OPTIONS = (Options, PrepareSettings)


def run(options: Options, settings: PrepareSettings) -> None:
    """Prepare the dataset, and say what is in it."""
    from sslmed.evaluation.resolution import label_round_trip, lost_labels
    from sslmed.preparation.download.fetch import fetch
    from sslmed.preparation.fingerprint import describe, measure
    from sslmed.preparation.prepare import prepare
    from sslmed.preparation.readers.layouts import scan_all

    if options.pool and options.task is not None:
        raise UserError(f"--task {options.task}: --pool takes no labels; leave out one of them")
    data = [fetch(name, options.downloads) if name in KNOWN else Path(name) for name in options.data]
    labels = None if options.task is None else LABELS_OF_TASKS[options.task]
    if options.auto_spacing:
        found = measure(scan_all(data, labels=labels, pool=options.pool)[0])
        print("\n".join(describe(found)))
        settings = replace(settings, geometry="spacing", spacing=found.spacing)
    store = prepare(data, options.store, settings, options.jobs, labels=labels, pool=options.pool)
    print(f"{options.store}: {len(store.labelled)} labelled and {len(store.unlabelled)} unlabelled cases are ready")
    _say_settings(settings, store)
    _say_copies(store)
    if store.labelled and store.labels == "map":
        scores = label_round_trip(store)
        print(
            f"labels on this grid, mapped back to the original one by nearest neighbour, keep a foreground Dice of "
            f"{scores.mean():.3f} (least {scores.min():.3f}; {len(scores)} cases)"
        )
        print("".join(f"{warning}\n" for warning in lost_labels(store)), end="")


def _say_settings(settings: PrepareSettings, store: "Store") -> None:
    used = store.preparation
    words = [f"{name.replace('_', ' ')} {_words(value)}" for name, value in used.items() if name != "version"]
    print(f"prepared with: {', '.join(words)}")
    changed = [field.name for field in fields(settings) if getattr(settings, field.name) != field.default]
    without = [f"--{name.replace('_', '-')}" for name in changed if name not in used]
    if without:
        print(f"{', '.join(without)}: without effect on these images", file=sys.stderr)


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _say_copies(store: "Store") -> None:
    n_copies = len(store.cases) - len(set(store.digests.values()))
    if n_copies:
        print(f"copies of another image: {n_copies}; copies stay together in one fold")
