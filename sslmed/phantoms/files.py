"""Writes a drawn dataset: its parameters first, its cases in any order, and last the file that readers go by."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from filelock import FileLock

from sslmed.core.errors import UserError
from sslmed.core.files import TEMPORARY, write_text
from sslmed.core.workers import run_in_processes

PARAMETERS = "phantom.json"


class Drawn(Protocol):
    """A case that is to be drawn."""

    @property
    def files(self) -> Sequence[str]:
        """The files it consists of, relative to the dataset."""


Case = TypeVar("Case", bound=Drawn)


def check_numbers(cases: int, unlabelled: int, seed: int) -> None:
    """Raise a `UserError` unless there is at least one case and no number is negative."""
    if min(cases, unlabelled, seed) < 0 or cases + unlabelled < 1:
        raise UserError(
            "a phantom needs at least one case, and no number below 0; "
            f"got {cases} labelled and {unlabelled} unlabelled cases and seed {seed}"
        )


def write_phantom(
    out: Path,
    parameters: dict[str, Any],
    cases: Sequence[Case],
    draw: Callable[[Case], None],
    *,
    index: Mapping[str, str],
    jobs: int | None = None,
) -> None:
    """Draw the cases whose files are missing, each in a process of its own.

    Killed at any moment, the same call goes on where it was; once all is there, it returns at once.

    Args:
        out: Folder of the dataset: a new or an empty one, or one that was begun with the same parameters.
        parameters: All that the dataset depends on, as JSON values.
        cases: What to draw.
        draw: Writes a case's files, each with `atomic_path`; a module's function, or a partial of one.
        index: Name and text of the files that say which cases exist; they are written last, in this order.
        jobs: Number of processes; the usable cores by default.

    Raises:
        UserError: If `out` holds something else or cannot be written.
    """
    _refuse_other_content(out, parameters)
    if all((out / name).is_file() for name in index):
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock"):
            _refuse_other_content(out, parameters)  # another process may have come first
            write_text(out / PARAMETERS, json.dumps(parameters))
            for folder in {(out / file).parent for case in cases for file in case.files}:
                folder.mkdir(parents=True, exist_ok=True)
            for leftover in out.glob(f"*/*{TEMPORARY}"):  # of a run that was killed
                leftover.unlink()
            to_do = [case for case in cases if not all((out / file).is_file() for file in case.files)]
            run_in_processes(draw, to_do, description="drawing phantoms", jobs=jobs)
            for name, text in index.items():
                write_text(out / name, text)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}: {error.filename})") from error


def _refuse_other_content(out: Path, parameters: dict[str, Any]) -> None:
    path = out / PARAMETERS
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        differences = [
            f"{key} {found.get(key)} there, {value} now" for key, value in parameters.items() if found.get(key) != value
        ]
        if differences:
            raise UserError(
                f"{out}: holds another phantom ({'; '.join(differences)}); give another folder, or delete this one"
            )
    elif out.exists() and not (out.is_dir() and all(_is_ours(entry) for entry in out.iterdir())):
        raise UserError(f"{out}: exists and is not a phantom; give a new or an empty folder")


def _is_ours(entry: Path) -> bool:
    return entry.name.endswith(TEMPORARY) or entry.name == ".lock"
