"""The next commands for a folder that was surveyed."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.survey.tables import Table

FEWEST = 5
"""Labelled images that five folds need."""

GRADES = {"0", "1", "2", "3", "4"}
NAMES = {
    "table.csv": "a table",
    "dataset.json": "the Medical Segmentation Decathlon",
    "train.csv": "APTOS 2019",
}
"""File that lists the cases -> name of the layout, in the order in which they are looked for."""

FIGURES = {"mask": "segmentation", "class": "classification", "value": "regression"}
COLUMNS = {"map": "mask", "class": "class", "value": "value"}


def read_layout(folder: Path) -> tuple[str, Dataset] | None:
    """Return the layout and the dataset if `--data` takes the folder itself, and all that it lists is there."""
    try:
        dataset = layouts.read(folder) if layouts.has_layout(folder) else None
    except DataError:
        return None
    return None if dataset is None else (next(NAMES[name] for name in NAMES if (folder / name).is_file()), dataset)


def commands_for_layout(folder: Path, dataset: Dataset) -> list[str]:
    """Return the commands for a folder that `--data` takes."""
    figure = "fig4" if (folder / "train.csv").is_file() else FIGURES[COLUMNS[dataset.labels]]
    return _reproduce(figure, folder)


def commands_for_tables(tables: Sequence[Table]) -> tuple[list[str], list[str]]:
    """Return the commands for tables, and what else is to be done, one line each."""
    if not tables:
        return [], []
    first, *others = tables
    pools = [str(each.path) for each in others if each.group.images[0].dims == first.group.images[0].dims]
    pool = ["--pool", *pools] if pools else []
    commands: list[str] = []
    advice = _advice(first)
    for column, count in first.labels.items():
        if count >= FEWEST:
            commands += _reproduce(_figure(column, first), first.path, *pool)
        else:
            advice.append(
                f"{count} images have a label in the column {column}, and five folds need {FEWEST}: label more"
            )
    name = str(first.path)
    if not first.labels:
        advice.append(f"no labels were found: add them to {name} in a column mask, class or value")
    if not commands:
        advice.append(f"images without labels are a pool for pretraining: give --pool {name} beside labelled images")
        commands = [shlex.join(["sslmed", "prepare", name, "--pool", "--store", f"stores/{first.path.stem}"])]
    return commands, advice


def _advice(table: Table) -> list[str]:
    """Return what to look at in a table."""
    advice = []
    kinds = [f"{kind} ({len(masks)})" for kind, masks in table.group.masks.items()]
    if len(kinds) > 1:
        cure = "to take another one, call its column mask"
        advice.append(f"there are {len(kinds)} kinds of label maps, {', '.join(kinds)}; the first is taken; {cure}")
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


def _figure(column: str, table: Table) -> str:
    sheet, looks = table.group.sheet, table.group.sample.looks
    is_graded = sheet is not None and set(sheet.labels.values()) == GRADES and "photographs of the fundus" in looks
    return "fig4" if column == "class" and is_graded else FIGURES[column]


def _reproduce(figure: str, data: Path, *options: str) -> list[str]:
    command = ["sslmed", "reproduce", figure, "--data", str(data), *options]
    return [shlex.join([*command, "--dry-run"]), shlex.join(command)]
