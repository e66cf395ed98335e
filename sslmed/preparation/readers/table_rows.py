"""Reads the rows of a table: one image each, and its label."""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from sslmed.preparation.readers.csv_file import Line, is_given
from sslmed.preparation.readers.dataset import Case, Labels
from sslmed.preparation.readers.dicom import find_series
from sslmed.preparation.readers.names import ID_RULE, VOLUMES, escape, find_file, is_id, strip_extension
from sslmed.preparation.readers.photographs import FORMATS

COLUMNS: dict[Labels, str] = {"map": "mask", "class": "class", "value": "value"}
"""Kind of labels -> their column."""

SEVERAL = ";"
"""Separates the files of an image's channels, and their names."""

MASKS = (".png", ".tif", ".tiff")  # JPEG changes the values of pixels


class Rows:
    """Reads rows one after the other, and remembers the earlier ones.

    Args:
        folder: Folder that paths are relative to.
        labels: Kind of labels to read.
        rows: All rows of the table.

    Attributes:
        class_names: The classes in natural order, if labels are classes.
        dimensions: Dimensions of the images so far, 2 or 3.
    """

    def __init__(self, folder: Path, labels: Labels, rows: Sequence[Line]) -> None:
        self.folder = folder
        self.labels = labels
        self.column = COLUMNS.get(labels)
        self.has_patients = any(row.patient for row in rows)
        texts = {row.cells["class"] for row in rows} if labels == "class" else set()
        self._class_name = _class_names(filter(is_given, texts))
        self.class_names = sorted(set(self._class_name.values()), key=_natural)
        self.dimensions: set[Literal[2, 3]] = set()
        self._within = _common_folder([row.cells["image"] for row in rows])
        self._lines: dict[str, int] = {}  # where an image or a mask was listed first

    def read(self, row: Line) -> tuple[Case | None, list[str]]:
        """Return the case of a row, or its problems."""
        if row.surplus:
            return None, [f"has {row.surplus} more cells than the first line; fix the row"]
        cell = row.cells["image"]
        image, *others = [cell] if find_file(self.folder, cell) else map(str.strip, cell.split(SEVERAL))
        dims: Literal[2, 3] = 3 if image.lower().endswith(VOLUMES) or self._series(image) else 2
        problems = self._file_problems("image", image, (*FORMATS, *VOLUMES), row.number)
        for other in others:
            problems += self._file_problems("image", other, VOLUMES, row.number)
        case_id = self._id(image)
        if not problems:
            self.dimensions.add(dims)
            if not is_id(case_id):
                problems = [f"image {image!r}: rename it: {ID_RULE}"]
        if self.has_patients and row.patient is None:
            problems.append("has no patient, but other rows have; name the patient in each, or remove the column")
        label, of_label = self._label(row, dims)
        problems += of_label
        if problems:
            return None, problems
        return Case(case_id, self._path(image), label, row.patient, channels=tuple(map(self._path, others))), []

    def _label(self, row: Line, dims: int) -> tuple[Path | float | None, list[str]]:
        text = "" if self.column is None else row.cells[self.column]
        if not text:
            return None, []
        if self.labels == "map":
            problems = self._file_problems("mask", text, VOLUMES if dims == 3 else MASKS, row.number)
            return self._path(text), problems
        if not is_given(text):
            return None, [f"{self.column} is {text!r}; leave the cell empty if the image is unlabelled"]
        if self.labels == "class":
            return self.class_names.index(self._class_name[text]), []
        number = _number(text)
        return number, [f"value must be a number, as 3.5, not {text!r}"] if number is None else []

    def _id(self, image: str) -> str:
        """Return the path without its extension, with `%2F` for `/` and `%2E%2E` for `..`.

        The folder that all have in common is left out where it would be the way to it on this machine.
        """
        path = os.path.relpath(image, self._within) if self._within else os.path.normpath(image)
        return escape(strip_extension(path, (*VOLUMES, *FORMATS))).replace("..", "%2E%2E")

    def _path(self, file: str) -> Path:
        return find_file(self.folder, file) or self._series(file) or self.folder / file

    def _series(self, file: str) -> Path | None:
        return find_series(self.folder, file) if file else None

    def _file_problems(self, column: str, file: str, extensions: Sequence[str], line: int) -> list[str]:
        """Check a file's name, and that it is listed once, by any path and in any column; ids must be unique, too."""
        if not file:
            return [f"has no {column}; give its path, relative to the table, or remove the row"]
        series = self._series(file)
        if series is None and not file.lower().endswith(tuple(extensions)):
            return [f"{column} {file} must end in {', '.join(extensions)}, or be the folder of a DICOM series"]
        if series is None and find_file(self.folder, file) is None:
            return [f"{column} {self.folder / file} does not exist; paths are relative to the table, or absolute"]
        names = [os.path.abspath(self._path(file))]  # noqa: PTH100 - copies may be links to one file
        names += [f"image {self._id(file)}"] * (column == "image")
        listed = [self._lines[name] for name in names if name in self._lines]
        for name in names:
            self._lines.setdefault(name, line)
        return [f"{column} {file} is already listed on line {min(listed)}; keep one"] if listed else []


def _common_folder(images: Sequence[str]) -> str:
    """Return the folder that all images lie in if their paths are absolute, else an empty text."""
    folders = [os.path.dirname(image) for image in images]  # noqa: PTH120 (texts of a table)
    return os.path.commonpath(folders) if folders and all(map(os.path.isabs, folders)) else ""


def _class_names(texts: Iterable[str]) -> Mapping[str, str]:
    """Return the class for each text of a cell: 2 and 2.0, as table programs write it, are the same class."""
    listed = list(texts)
    numbers = [_number(text) for text in listed]
    if any(number is None or not number.is_integer() for number in numbers):
        return {text: text for text in listed}
    return {text: str(int(number)) for text, number in zip(listed, numbers, strict=True) if number is not None}


def _natural(name: str) -> tuple[object, ...]:
    """Return a sort key that orders numbers by value: -1 before 2 before 10, and stage 2 before stage 10."""
    number = _number(name)
    if number is not None:
        return (0, number, name)
    parts = re.split(r"(\d+)", name.casefold())
    return (1, [int(part) if part.isdecimal() else part for part in parts], name)


def alike(names: Sequence[str]) -> list[str]:
    """Return the first names that are one but for capitals or the form of a number: Benign, benign; 0.1, 0.10."""
    same: dict[object, list[str]] = {}
    for name in names:
        number = _number(name)
        same.setdefault(name.casefold() if number is None else number, []).append(name)
    return next((each for each in same.values() if len(each) > 1), [])


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None
