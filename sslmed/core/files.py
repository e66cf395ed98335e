"""Writes files atomically: completely or not at all."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from sslmed.core.errors import UserError

TEMPORARY = ".partial"

Value = TypeVar("Value")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. On success it is renamed to `path`, on failure it is removed.

    Readers see the old file or the complete new one, also after a kill. The temporary name contains the process id, so
    two writers do not interfere.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`. On success it is renamed to `path`, on failure it is removed.

    `path` must not exist, or be an empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, and create its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, remove: Path | None = None) -> Any:  # noqa: ANN401 - any JSON
    """Read a JSON file that an earlier command wrote.

    Args:
        path: The file.
        remove: What to remove if it is damaged; the file alone by default.

    Raises:
        UserError: If it is damaged, e.g. as a disk was full when it was copied.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        cure = f"remove {remove or path}, and the same command makes it again"
        raise UserError(f"{path}: is damaged ({error}); {cure}") from error


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Lock a folder for one writer; others wait. What killed writers have left is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", mode=0o666):  # whoever may write to the folder may lock it
        remove_leftovers(folder)
        yield


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed writers from a folder. The caller must be the only writer there."""
    for leftover in folder.glob(f"*{TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def expand_home(value: Value) -> Value:
    """Replace a leading `~` or `~name` of a path by the home directory, as a shell does for words without quotes.

    Args:
        value: A path or a text. Anything else, and a path that starts otherwise, is returned as it is.
    """
    if isinstance(value, str | Path) and str(value).startswith("~"):
        return type(value)(os.path.expanduser(str(value)))  # noqa: PTH111 - Path's method fails for an unknown name
    return value


def check_writable(folder: Path, option: str) -> None:
    """Check before long work that files can be written to a folder, or that it can be created.

    Args:
        folder: The folder.
        option: Option that names it, e.g. `--out`, for the message.

    Raises:
        UserError: If it is a file or below one, or is not writable.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        reason = "cannot be written to" if existing.is_dir() else "is a file"
        raise UserError(f"{option} {folder}: {existing} {reason}; choose another folder")


def refuse_within(place: Path, folders: Iterable[Path], shown: object) -> None:
    """Refuse to write into folders of images.

    Args:
        place: Where to write.
        folders: The folders; files, such as tables, do not count.
        shown: What the message begins with, e.g. `--out results`.

    Raises:
        UserError: If it is one of them, or below one.
    """
    for folder in folders:
        if folder.is_dir() and place.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{shown}: lies within the data folder {folder}, where nothing is written; give another folder"
            )
