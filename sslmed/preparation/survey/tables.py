"""Writes the images of a survey as tables that `--data` and `--pool` take."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.core.files import write_text
from sslmed.preparation.readers.table import scan_table
from sslmed.preparation.readers.table_rows import COLUMNS, SEVERAL
from sslmed.preparation.survey.survey import Group


@dataclass(frozen=True)
class Table:
    """Says what a table holds.

    Args:
        path: The file.
        group: Its images.
        labels: Column of labels -> how many rows, or patients, have one.
        has_patients: Whether it has a column of patients.
        is_kept: Whether the file was there and says something else; it was not overwritten.
        problems: What the reader of tables says about it, one line each.
    """

    path: Path
    group: Group
    labels: dict[str, int]
    has_patients: bool
    is_kept: bool
    problems: list[str]


def write_tables(groups: Sequence[Group], path: Path) -> list[Table]:
    """Write a table for each group: the first to `path`, the others to `<name>-2.csv` and so on."""
    tables = []
    for number, group in enumerate(groups, 1):
        target = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        columns = _columns(group, target.parent)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([[*columns], *zip(*columns.values(), strict=True)])
        is_kept = target.is_file() and target.read_text(encoding="utf-8", errors="replace") != text.getvalue()
        if not is_kept:
            write_text(target, text.getvalue())
        patients = columns.get("patient", [None] * len(group.images))
        labels = {
            name: n_independent([patient for patient, cell in zip(patients, columns[name], strict=True) if cell])
            for name in COLUMNS.values()
            if name in columns
        }
        tables.append(
            Table(target, group, labels, "patient" in columns, is_kept, _problems(target, {} if is_kept else labels))
        )
    return tables


def n_independent(patients: Sequence[str | None]) -> int:
    """Count cases that need not be in one fold: patients, or images if patients are unknown."""
    return len(patients) if None in patients else len({*patients})


def _problems(path: Path, labels: dict[str, int]) -> list[str]:
    """Read a table as the next command will, for each kind of its labels; of one that was kept the images alone."""
    problems: dict[str, None] = {}
    for kind in [kind for kind, column in COLUMNS.items() if column in labels] or ["none"]:
        try:
            found = scan_table(path, kind)[1]
        except DataError as error:
            found = [*error.problems]
        problems |= dict.fromkeys(found)
    return [*problems]


def _columns(group: Group, folder: Path) -> dict[str, list[str]]:
    """Return the cells of each column; one that would be empty is left out."""
    images, sheet = group.images, group.sheet
    columns = {"image": [SEVERAL.join(_cell(file, folder) for file in image.files) for image in images]}
    for number, (kind, masks) in enumerate(group.masks.items()):
        cells = [_cell(masks[image.name], folder) if image.name in masks else "" for image in images]
        columns["mask" if number == 0 else f"mask: {kind}"] = cells
    if sheet is not None and sheet.column:
        columns[sheet.kind] = [sheet.labels.get(image.name, "") for image in images]
    if group.modality and group.kind == "volumes":
        columns["modality"] = [SEVERAL.join(group.modality)] * len(images)
    patients = [image.patient for image in images]
    if all(patients) and len({*patients}) > 1:  # one for all is a placeholder
        columns["patient"] = patients
    return {name: cells for name, cells in columns.items() if any(cells)}


def _cell(file: Path, folder: Path) -> str:
    """Return the path relative to the table if it is in or below its folder, else the whole path."""
    file, folder = file.parent.resolve() / file.name, folder.resolve()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()
