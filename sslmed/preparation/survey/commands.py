"""The next commands for a folder that was surveyed."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.readers.table_rows import COLUMNS
from sslmed.preparation.survey.tables import Table, n_independent

FOLDS = 5
GRADES = {"0", "1", "2", "3", "4"}
FIGURES = {"mask": "segmentation", "class": "classification", "value": "regression"}
NAMES = {
    "table.csv": "a table",
    "dataset.json": "the Medical Segmentation Decathlon",
    "train.csv": "APTOS 2019",
}
"""File that lists the cases -> name of the layout, in the order in which they are looked for."""


def read_layout(folder: Path) -> tuple[str, Dataset] | None:
    """Return the layout and the dataset if `--data` takes the folder itself, and all that it lists is there."""
    try:
        dataset = layouts.read(folder) if layouts.has_layout(folder) else None
    except DataError:
        return None
    return None if dataset is None else (next(NAMES[name] for name in NAMES if (folder / name).is_file()), dataset)


def commands_for_layout(folder: Path, dataset: Dataset) -> tuple[list[str], list[str]]:
    """Return the commands for a folder that `--data` takes, and what else is to be done, one line each."""
    column = COLUMNS.get(dataset.labels)
    labels = (
        {} if column is None else {column: n_independent([case.patient for case in dataset.cases if case.is_labelled])}
    )
    figures = FIGURES | ({"class": "fig4"} if (folder / "train.csv").is_file() else {})
    return _commands(folder, labels, figures)


def commands_for_tables(tables: Sequence[Table]) -> tuple[list[str], list[str]]:
    """Return the commands for the first table, and what else is to be done, one line each."""
    if not tables:
        return [], []
    first, *others = tables
    sheet = first.group.sheet
    is_graded = sheet is not None and {*sheet.labels.values()} == GRADES
    is_fundus = "photographs of the fundus" in first.group.sample.looks
    figures = FIGURES | ({"class": "fig4"} if is_graded and is_fundus else {})
    commands, advice = _commands(first.path, first.labels, figures)
    return commands, [*_advice(first), *advice, *(_pool(each) for each in others)]


def _commands(data: Path, labels: Mapping[str, int], figures: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the commands for the columns of labels that are enough for folds, and advice for the others."""
    commands, advice = [], []
    for column, count in labels.items():
        if count < FOLDS:
            found = f"{count} images, or patients, have a label in {column}"
            advice.append(
                f"{found}, and {FOLDS} folds need {FOLDS}: label more, to run sslmed reproduce {figures[column]}"
            )
            continue
        command = ["sslmed", "reproduce", figures[column], "--data", str(data)]
        commands += [shlex.join([*command, "--dry-run"]), shlex.join(command)]
    if not labels:
        advice.append(f"no labels were found: add a column mask, class or value to {data}, or use it as --pool {data}")
    if not commands:
        commands = [shlex.join(["sslmed", "prepare", str(data), "--pool", "--store", f"stores/{data.stem}"])]
    return commands, advice


def _pool(table: Table) -> str:
    images = table.group.images
    what = f"{table.path} lists {len(images)} {table.group.kind} of {images[0].channels} channels apart"
    return f"{what}; --pool {table.path} pretrains on them as well"


def _advice(table: Table) -> list[str]:
    """Return what to look at in a table."""
    advice = []
    kinds = [f"{kind} ({len(masks)})" for kind, masks in table.group.masks.items()]
    if len(kinds) > 1:
        cure = "to take another one, call its column mask"
        advice.append(f"there are {len(kinds)} kinds of label maps, {', '.join(kinds)}; the first is taken; {cure}")
    if table.group.modality == ("CT",) and table.group.images[0].modality == ():
        advice.append(
            "column modality says CT, as the images look; then they are clipped to a HU window: remove it if not"
        )
    if not table.has_patients:
        advice.append(
            "no patient is known: if patients have several images, add a column patient to keep them together"
        )
    sheet = table.group.sheet
    if sheet is not None and not sheet.column:
        columns = ", ".join(sheet.others)
        advice.append(
            f"{sheet.path} lists the images; if {columns} has their labels, add it as a column class or value"
        )
    return advice
