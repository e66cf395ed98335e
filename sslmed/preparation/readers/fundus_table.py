"""Reads the rows of `train.csv` and `test.csv`, the tables of a folder in the layout of APTOS 2019, as text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers.csv_file import by_column, read_lines, refuse_misspelt

WHOLE_GRADE = re.compile(r"([0-4])(\.0+)?")  # table programs write 2.0 if a column has gaps


@dataclass(frozen=True)
class Row:
    """Holds one row of a table.

    Args:
        line: Number of its line.
        photo_id: `id_code` as text, so that 007 stays 007.
        grade: `diagnosis`; `None` if the table does not need it.
        patient: `None` if no row of the table has one; empty if only other rows have.
        surplus: Number of cells beyond those of the first line; they make the other cells doubtful.
    """

    line: int
    photo_id: str
    grade: str | None
    patient: str | None
    surplus: int

    def problems(self) -> Iterator[str]:
        """Yield the problems of the grade and the patient."""
        if self.grade == "":
            yield "has no diagnosis; add the grade, or remove the row and move the photograph to test_images"
        elif self.grade is not None and not WHOLE_GRADE.fullmatch(self.grade):
            yield f"diagnosis must be 0, 1, 2, 3 or 4, not {self.grade!r}"
        if self.patient == "":
            yield "has no patient, but other rows have; name the patient in each, or remove the column"


def read_grades(path: Path) -> list[Row]:
    """Read a table with the grades of photographs and, optionally, patients.

    Raises:
        DataError: If it does not exist, cannot be read, or has no columns `id_code` and `diagnosis`.
    """
    if not path.is_file():
        raise DataError([f"{path}: no such file; give the folder of a dataset as APTOS 2019, which holds train.csv"])
    return _rows(path, read_lines(path), ("id_code", "diagnosis"))


def read_patients(path: Path) -> list[Row] | None:
    """Read the patients of unlabelled photographs; `None` if the table has none, or does not exist.

    Raises:
        DataError: If it cannot be read, or has patients but not the columns `id_code` and `patient`.
    """
    lines = read_lines(path) if path.is_file() else []
    header = lines[0][1] if lines else []
    if len(header) == 1:  # a separator other than the comma must not hide the column
        header = re.split(r"\W+", header[0])
    refuse_misspelt(path, header, ["patient"])
    if "patient" not in header:
        return None
    return _rows(path, lines, ("id_code", "patient"))


def _rows(path: Path, lines: list[tuple[int, list[str]]], columns: Sequence[str]) -> list[Row]:
    header = lines[0][1] if lines else []
    if any(header.count(column) != 1 for column in columns) or header.count("patient") > 1:
        names = " and ".join(f'"{column}"' for column in columns)
        expected = f"its first line must name the columns {names} once each, separated by commas"
        raise DataError([f"{path}: {expected}, not {','.join(header)!r}"])
    refuse_misspelt(path, header, ["patient"])
    found = by_column(lines)
    has_patients = any(line.cells.get("patient") for line in found)
    return [
        Row(
            line.number,
            line.cells["id_code"],
            line.cells["diagnosis"] if "diagnosis" in columns else None,
            line.cells["patient"] if has_patients else None,
            line.surplus,
        )
        for line in found
    ]
