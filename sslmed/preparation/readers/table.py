"""Lists the images and labels of a user's own CSV table."""

import csv
from collections.abc import Sequence
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.channels import name_channels
from sslmed.preparation.readers.csv_file import Line, by_column, read_lines, refuse_misspelt
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Case, Dataset, Labels
from sslmed.preparation.readers.fundus import COLOURS
from sslmed.preparation.readers.table_rows import COLUMNS, SEVERAL, Rows, alike
from sslmed.preparation.readers.volumes import channel_names

NAME = "table.csv"
"""File name of a table that is given by its folder."""


def scan_table(path: Path, labels: Labels | None = None) -> tuple[Dataset, list[str]]:
    """Read a table, and return the usable cases and the problems of the other rows, one line each.

    Each row has an `image`, a path relative to the table, or one for each channel, and optionally a `mask`, `class` or
    `value`, a `patient`, and a `modality`, which names the channels. An image with an empty label cell is unlabelled.
    Other columns are ignored.

    Args:
        path: The CSV file.
        labels: Kind of labels to read; by default those that the table has, which must be of one kind.

    Raises:
        DataError: If no row can be used, or the columns are invalid.
    """
    lines = read_lines(path)
    header = [name.lower() for name in lines[0][1]] if lines else []
    chosen = _choose_labels(path, header, labels)
    rows = by_column([(0, header), *lines[1:]])
    reader = Rows(path.parent, chosen, rows)
    cases: list[Case] = []
    problems: list[str] = []
    for row in rows:
        case, found = reader.read(row)
        problems += [f"{path}: line {row.number}: {problem}" for problem in found]
        cases += [] if case is None else [case]
    if not rows:
        problems.append(f"{path}: lists no image; add a row for each")
    if len(reader.dimensions) > 1:
        problems.append(f"{path}: lists volumes and photographs; make a table of each")
    problems += _label_problems(path, cases, chosen, reader.class_names)
    if not cases or len(reader.dimensions) > 1:
        raise DataError(problems)
    (spatial_dims,) = reader.dimensions
    modalities: tuple[str, ...] = COLOURS
    if spatial_dims == 3:
        modalities, found = _name_channels(rows, cases)
        problems += [f"{path}: {problem}" for problem in found]
    return Dataset(
        root=path,
        name=dataset_name(path),
        spatial_dims=spatial_dims,
        modalities=modalities,
        labels=chosen,
        label_names=dict(enumerate(reader.class_names)),
        cases=tuple(sorted(cases, key=lambda case: case.id)),
    ), problems


def write_table(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write the table of a folder, whose first row names the columns."""
    with (folder / NAME).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def has_labels(path: Path) -> bool:
    """Return whether a table has a column of labels."""
    lines = read_lines(path)
    return bool(lines) and not {name.lower() for name in lines[0][1]}.isdisjoint(COLUMNS.values())


def dataset_name(path: Path) -> str:
    """Return the name of a table's dataset: that of the file, or of the folder if the file is `table.csv`."""
    return path.resolve().parent.name if path.name == NAME else path.stem


def _choose_labels(path: Path, header: Sequence[str], labels: Labels | None) -> Labels:
    """Choose the column of labels to read."""
    named = f"its first line is {','.join(header)!r}"
    again = [name for name in ("image", "patient", "modality", *COLUMNS.values()) if header.count(name) > 1]
    if again:
        raise DataError([f"{path}: has the column {again[0]} twice; {named}"])
    if "image" not in header:
        expected = "the first line must name it, and mask, class or value for labels, separated by commas"
        raise DataError([f"{path}: has no column image; {expected}; {named}"])
    refuse_misspelt(path, header, ["modality"])
    if labels != "none":
        refuse_misspelt(path, header, ["patient"])
        refuse_misspelt(path, header, [*COLUMNS.values()])
    there = [kind for kind, column in COLUMNS.items() if column in header]
    if labels is None and len(there) > 1:
        columns = " and ".join(COLUMNS[kind] for kind in there)
        options = " or ".join(f"--task {task}" for task, kind in LABELS_OF_TASKS.items() if kind in there)
        raise DataError([f"{path}: has the columns {columns}; say which of them are the labels: {options}"])
    chosen: Labels = next(iter(there), "none") if labels is None else labels
    if chosen not in ("none", *there):
        raise DataError([f"{path}: has no column {COLUMNS[chosen]}, which is to hold the labels; {named}"])
    return chosen


def _name_channels(rows: Sequence[Line], cases: Sequence[Case]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the channels, by the column `modality` if there is one, and problems of this column."""
    files = len(cases[0].images)
    default = name_channels(files) if files > 1 else channel_names([case.image for case in cases])
    first, *others = ((row.number, row.cells.get("modality", "")) for row in rows)
    problems = [
        f"line {line}: modality is {text!r}, but {first[1]!r} on line {first[0]}; it must be the same in all rows"
        for line, text in others
        if text != first[1]
    ]
    if not first[1]:
        return default, problems
    names = tuple(name.strip() for name in first[1].split(SEVERAL))
    if len(names) != len(default) or not all(names):
        cure = f"as {SEVERAL.join(['MR'] * len(default))!r}"
        problems.append(f"line {first[0]}: modality {first[1]!r} must name {len(default)} channels, {cure}")
    return names, problems


def _label_problems(path: Path, cases: Sequence[Case], labels: Labels, class_names: Sequence[str]) -> list[str]:
    """Return the problems of the labels of all rows together."""
    column = COLUMNS.get(labels)
    given = {case.label for case in cases if case.is_labelled}
    if column is None or not cases:
        return []
    if not given:
        return [f"{path}: the column {column} is empty; fill it in, or remove it to pretrain only"]
    if same := alike(class_names):
        return [f"{path}: the classes {' and '.join(same)} differ by their form alone; write them alike"]
    if len(given) == 1 and labels != "map":
        (label,) = given
        name = class_names[int(label)] if labels == "class" and isinstance(label, int) else label
        return [f"{path}: every {column} is {name}; nothing can be learned from one alone"]
    return []
