"""Records which images have been predicted, and by what, so that the same command resumes after an interruption."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from sslmed.core.errors import UserError
from sslmed.core.files import write_text
from sslmed.prediction.images import Image
from sslmed.preparation.records import size_and_time

log = logging.getLogger(__name__)

Row = dict[str, Any]


class Record:
    """The file `predictions.jsonl`. Its first line says by what, and each other one is for an image.

    A line that a kill cut off is ignored. As a context, it lets one command write at a time; others wait.

    Args:
        out: Folder of the predictions.
        made_by: What determines the predictions of an image.

    Raises:
        UserError: If the folder holds other predictions: masks may have been corrected by hand since.
    """

    def __init__(self, out: Path, made_by: Row) -> None:
        self._out = out
        self._path = out / "predictions.jsonl"
        self._lock = FileLock(out / ".lock")
        self._made_by = made_by
        self._images: Sequence[Image] = ()
        self._lines: dict[str, Row] = {}
        self._states: dict[str, list[int]] = {}  # before an image is read, so that a later change is noticed
        self._has_begun = False
        self._read()

    def __enter__(self) -> Self:
        """Return the record."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let other commands write."""
        self._lock.release(force=True)

    def rows(self) -> list[Row]:
        """Return the rows of all images that have been predicted, by other commands too, sorted by case."""
        self._read()
        return [{"case": case, **line["row"]} for case, line in sorted(self._lines.items())]

    def refuse_others(self, images: Sequence[Image]) -> None:
        """Refuse images that are called like others, whose predictions they would replace.

        Raises:
            UserError: If there is one.
        """
        self._images = images
        for image in images:
            path = Path((self._lines.get(image.name) or {"path": image.path})["path"])
            if path.exists() and not path.samefile(image.path):
                raise UserError(
                    f"--out {self._out}: holds {image.name} of another image, {path}; choose another folder"
                )

    def has(self, image: Image) -> bool:
        """Whether an image was predicted before and has not changed since, and the files are there."""
        line, state = self._lines.get(image.name), _state(image)
        self._states[image.name] = state
        if line is None or line["state"] != state:
            return False
        return all((self._out / file).is_file() for file in line["files"])

    def add(self, image: Image, row: Row, files: Sequence[str]) -> None:
        """Record that an image has been predicted.

        Args:
            image: The image; `has` was called for it.
            row: Its row in the table.
            files: What was written, relative to the folder.
        """
        path = os.path.abspath(image.path)  # noqa: PTH100 - without following links
        line = {"case": image.name, "path": path, "state": self._states[image.name], "files": [*files], "row": row}
        self._lines[image.name] = line
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_text(line))

    def begin(self) -> None:
        """Wait for other commands that write here, and write what is kept of the file; only at the first call.

        Raises:
            UserError: If the other command has written what this one would replace.
        """
        if self._has_begun:
            return
        self._out.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            log.warning("%s: waiting for another command that writes predictions here", self._out)
            self._lock.acquire()
        self._read()
        self.refuse_others(self._images)
        self._write()
        self._has_begun = True

    def forget(self, image: Image) -> None:
        """Leave out an image that has changed since it was predicted, and cannot be predicted now; its files stay."""
        if image.name in self._lines:
            self.begin()
            self._lines.pop(image.name, None)
            self._write()

    def _read(self) -> None:
        first, *lines = _read(self._path) or [self._made_by]
        self._lines = {line["case"]: line for line in lines if "case" in line}
        if first != self._made_by and self._lines:
            raise UserError(
                f"--out {self._out}: holds predictions by other models or with other options; choose another folder, "
                "or remove this one"
            )

    def _write(self) -> None:
        write_text(self._path, "".join(map(_text, [self._made_by, *self._lines.values()])))


def _text(line: Row) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _state(image: Image) -> list[int]:
    """What changes if any file of the image does."""
    try:
        return [number for path in (image.path, *image.channels) for number in size_and_time(path)]
    except OSError:  # reading it will say so
        return []


def _read(path: Path) -> list[Row]:
    """Read the lines that are whole."""
    lines: list[Row] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
