"""Reads which images a table lists, and what their labels are: a CSV of the user's own."""

from collections.abc import Sequence
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers import nifti
from sslmed.preparation.readers.csv_file import by_column, read_lines
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Case, Dataset, Labels
from sslmed.preparation.readers.fundus import COLOURS
from sslmed.preparation.readers.table_rows import COLUMNS, Rows

NAME = "table.csv"
"""Of a table that is given by its folder."""


def scan_table(path: Path, labels: Labels | None = None) -> tuple[Dataset, list[str]]:
    """Read a table; return the usable cases, and what is wrong with the other rows, one line each.

    Each row names an `image`, by its path relative to the table, and perhaps its `mask`, `class` or `value`, and its
    `patient`. An image whose label is an empty cell is unlabelled. Other columns are not looked at.

    Args:
        path: The CSV file.
        labels: What labels to read; by default those that the table has, which must be of one kind.

    Raises:
        DataError: No row can be used, or the columns cannot.
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
    return Dataset(
        root=path,
        name=dataset_name(path),
        spatial_dims=spatial_dims,
        modalities=COLOURS if spatial_dims == 2 else nifti.channel_names(cases[0].image),
        labels=chosen,
        label_names=dict(enumerate(reader.class_names)),
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        tables=(path,),
    ), problems


def dataset_name(path: Path) -> str:
    """What a table's dataset is called: as the file, or as the folder, since any may hold a `table.csv`."""
    return path.resolve().parent.name if path.name == NAME else path.stem


def _choose_labels(path: Path, header: Sequence[str], labels: Labels | None) -> Labels:
    """Decide which column of labels is read."""
    named = f"its first line is {','.join(header)!r}"
    again = [name for name in ("image", "patient", *COLUMNS.values()) if header.count(name) > 1]
    if again:
        raise DataError([f"{path}: has the column {again[0]} twice; {named}"])
    if "image" not in header:
        expected = "the first line must name it, and mask, class or value for labels, separated by commas"
        raise DataError([f"{path}: has no column image; {expected}; {named}"])
    there = [kind for kind, column in COLUMNS.items() if column in header]
    if labels is None and len(there) > 1:
        columns = " and ".join(COLUMNS[kind] for kind in there)
        options = " or ".join(f"--task {task}" for task, kind in LABELS_OF_TASKS.items() if kind in there)
        raise DataError([f"{path}: has the columns {columns}; say which of them are the labels: {options}"])
    chosen: Labels = next(iter(there), "none") if labels is None else labels
    if chosen not in ("none", *there):
        raise DataError([f"{path}: has no column {COLUMNS[chosen]}, which is to hold the labels; {named}"])
    return chosen


def _label_problems(path: Path, cases: Sequence[Case], labels: Labels, class_names: Sequence[str]) -> list[str]:
    """Return what is wrong with the labels of all rows together."""
    column = COLUMNS.get(labels)
    given = {case.label for case in cases if case.is_labelled}
    if column is None or not cases:
        return []
    if not given:
        return [f"{path}: the column {column} is empty; fill it in, or remove it to pretrain only"]
    if len(given) == 1 and labels != "map":
        (label,) = given
        name = class_names[int(label)] if labels == "class" and isinstance(label, int) else label
        return [f"{path}: every {column} is {name}; nothing can be learned from one alone"]
    return []
