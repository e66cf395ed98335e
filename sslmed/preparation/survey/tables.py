"""Writes the images of a survey as tables that `--data` and `--pool` take."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.files import write_text
from sslmed.preparation.readers.table_rows import SEVERAL
from sslmed.preparation.survey.image import Image
from sslmed.preparation.survey.survey import Group

LABELS: tuple[str, ...] = ("mask", "class", "value")


@dataclass(frozen=True)
class Table:
    """Says what a table holds.

    Args:
        path: The file.
        group: Its images.
        labels: Column of labels -> rows that have one.
        has_patients: Whether it has a column of patients.
        is_kept: Whether the file was there and says something else; it was not overwritten.
    """

    path: Path
    group: Group
    labels: dict[str, int]
    has_patients: bool
    is_kept: bool


def write_tables(groups: Sequence[Group], path: Path) -> list[Table]:
    """Write a table for each group: the first to `path`, the others to `<name>-2.csv` and so on."""
    tables = []
    for number, group in enumerate(groups, 1):
        target = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        columns = _columns(group, target.parent)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([[*columns], *zip(*columns.values(), strict=True)])
        is_kept = target.is_file() and target.read_text(encoding="utf-8") != text.getvalue()
        if not is_kept:
            write_text(target, text.getvalue())
        labels = {name: sum(map(bool, columns[name])) for name in LABELS if name in columns}
        tables.append(Table(target, group, labels, "patient" in columns, is_kept))
    return tables


def _columns(group: Group, folder: Path) -> dict[str, list[str]]:
    """Return the cells of each column; one that would be empty is left out."""
    images = group.images
    columns = {"image": [SEVERAL.join(_cell(file, folder) for file in image.files) for image in images]}
    for number, (kind, masks) in enumerate(group.masks.items()):
        cells = [_cell(masks[image.name], folder) if image.name in masks else "" for image in images]
        columns["mask" if number == 0 else f"mask: {kind}"] = cells
    sheet = group.sheet
    if sheet is not None and sheet.column:
        columns[sheet.kind] = [sheet.labels.get(image.name, "") for image in images]
    if group.modality and images[0].dims == 3:
        columns["modality"] = [SEVERAL.join(group.modality)] * len(images)
    patients = [_patient(image, group) for image in images]
    if all(patients) and (len(set(patients)) > 1 or len(images) == 1):  # one for all is no patient's, but a placeholder
        columns["patient"] = patients
    return {name: cells for name, cells in columns.items() if any(cells)}


def _patient(image: Image, group: Group) -> str:
    given = "" if group.sheet is None else group.sheet.patients.get(image.name, "")
    return given or image.patient


def _cell(file: Path, folder: Path) -> str:
    """Return the path relative to the table if it is in or below its folder, else the whole path."""
    file, folder = file.parent.resolve() / file.name, folder.resolve()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()
