"""Writes a synthetic dataset: first its parameters, then its cases in any order, last the files that list them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from filelock import FileLock

from sslmed.core.errors import UserError
from sslmed.core.files import TEMPORARY, read_json, write_text
from sslmed.core.workers import run_in_processes

PARAMETERS = "phantom.json"


class Drawn(Protocol):
    """Interface of a case to generate."""

    @property
    def files(self) -> Sequence[str]:
        """The files of the case, relative to the dataset."""


Case = TypeVar("Case", bound=Drawn)


def check_numbers(cases: int, unlabelled: int, seed: int) -> None:
    """Check that there is at least one case and that no number is negative.

    Raises:
        UserError: If the numbers are invalid.
    """
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
    """Generate the cases whose files are missing, in parallel.

    After a kill, the same call resumes. If the dataset is complete, it returns at once.

    Args:
        out: Folder of the dataset: new, empty, or started with the same parameters.
        parameters: All parameters of the dataset, as JSON values.
        cases: The cases to generate.
        draw: Writes a case's files, each with `atomic_path`; a function at module level, or a partial of one.
        index: Name and text of the files that list the cases; they are written last, in this order.
        jobs: Number of worker processes, the usable cores by default; with 1, this process does the work.

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
            run_in_processes(draw, to_do, description="generating phantoms", jobs=jobs)
            for name, text in index.items():
                write_text(out / name, text)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}: {error.filename})") from error


def _refuse_other_content(out: Path, parameters: dict[str, Any]) -> None:
    path = out / PARAMETERS
    if path.is_file():
        found = read_json(path, remove=out)
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
