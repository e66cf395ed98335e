"""Finds CSV files that list the images of a folder, and the classes or values that they give them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from sslmed.core.errors import DataError
from sslmed.preparation.readers.csv_file import PATIENTS, Line, by_column, is_given, names_patient, read_lines
from sslmed.preparation.readers.names import VOLUMES, nfc, strip_extension
from sslmed.preparation.readers.photographs import FORMATS

CLASSES = ("class", "label", "diagnosis", "grade", "level", "category", "dx", "severity")
VALUES = ("value", "score", "age")
"""Names of columns, the most certain first."""

LARGEST = 50_000_000  # bytes of a CSV file that lists images
LEAST_FOUND = 0.5  # of the rows of a CSV file that lists images
MOST_CLASSES = 20


@dataclass
class Sheet:
    """Holds what a CSV file says about images.

    Args:
        path: The file.
        images: The images that it lists.
        column: Name of the column of labels; empty if there is none, or which it is remains unclear.
        kind: What they are: `class` or `value`.
        labels: Image -> cell of the label.
        patients: Image -> cell of the patient.
        others: Names of columns that could be labels.
    """

    path: Path
    images: frozenset[PurePath]
    column: str = ""
    kind: str = "class"
    labels: dict[PurePath, str] = field(default_factory=dict)
    patients: dict[PurePath, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def find_sheet(tables: Iterable[Path], images: Sequence[PurePath]) -> Sheet | None:
    """Return the first CSV file that lists these images, by path, file name, or file name without extension."""
    by_name = {_named(text): image for image in images for text in (image.name, image.as_posix())}
    for path in tables:
        if path.stat().st_size > LARGEST:
            continue
        try:
            rows = by_column(read_lines(path))
        except DataError:
            continue
        for column in rows[0].cells if rows else ():
            found = {by_name[key]: row for row in rows if (key := _named(row.cells[column])) in by_name}
            if len(found) >= LEAST_FOUND * len(rows):
                return _sheet(path, column, found)
    return None


def _named(text: str) -> str:
    return strip_extension(nfc(text), (*VOLUMES, *FORMATS))


def _sheet(path: Path, column: str, rows: Mapping[PurePath, Line]) -> Sheet:
    sheet = Sheet(path, frozenset(rows))
    names = [name for name in next(iter(rows.values())).cells if name != column]
    lower = {re.sub(r"\W+", "_", name.lower()): name for name in names}
    patient = next((lower[name] for name in PATIENTS if name in lower), None)
    if patient is not None:
        sheet.patients = {image: text for image, row in rows.items() if names_patient(text := row.cells[patient])}
    sheet.others = [name for name in names if name != patient]
    known = [lower[name] for name in (*CLASSES, *VALUES) if name in lower]
    chosen = known[0] if known else sheet.others[0] if len(sheet.others) == 1 else ""
    labels = {image: text for image, row in rows.items() if is_given(text := row.cells.get(chosen, ""))}
    kind = _kind(chosen, labels.values())
    if kind is not None:
        sheet.column, sheet.kind, sheet.labels = chosen, kind, labels
    return sheet


def _kind(column: str, texts: Collection[str]) -> str | None:
    """Tell classes from values, which are numbers that are many or fractional; `None` for text that varies too much."""
    different = {*texts}
    try:
        numbers = [float(text) for text in different]
    except ValueError:
        return "class" if len(different) <= min(MOST_CLASSES, len(texts) - 1) else None
    is_whole = all(number.is_integer() for number in numbers)
    return "value" if column.lower() in VALUES or len(different) > MOST_CLASSES or not is_whole else "class"
