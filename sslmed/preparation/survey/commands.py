"""The next commands for a folder that was surveyed."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.core.text import shorten
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Dataset
from sslmed.preparation.readers.table_rows import COLUMNS
from sslmed.preparation.survey.dataset_json import read_names
from sslmed.preparation.survey.image import Image
from sslmed.preparation.survey.samples import FUNDUS
from sslmed.preparation.survey.survey import Group
from sslmed.preparation.survey.tables import Table, n_independent

FOLDS = 5
COMPARED = 10
"""Labelled cases that leave each fold two for validation, which tasks that compare cases need."""
WITH_ONE_CASE = ("baseline", "rotation", "jigsaw", "rpl")
"""Arms whose tasks compare no cases."""
GRADES = {"0", "1", "2", "3", "4"}
FIGURES: dict[str, str] = {COLUMNS[labels]: task for task, labels in LABELS_OF_TASKS.items()}
"""Column of labels -> figure."""


def read_layout(folder: Path, notes: list[str]) -> tuple[str, Dataset] | None:
    """Return the layout and the dataset if `--data` takes the folder itself; or note why it does not."""
    file = next((name for name in layouts.LAYOUTS if (folder / name).is_file()), None)
    if file is None or read_names(folder / "dataset.json").is_nnunet:
        return None
    try:
        return layouts.LAYOUTS[file], layouts.read(folder)
    except DataError as error:
        notes.append(f"--data does not take the folder as it is: {error.problems[0]}")
        return None


def commands_for_layout(folder: Path, dataset: Dataset, groups: Sequence[Group]) -> tuple[list[str], list[str]]:
    """Return the commands for a folder that `--data` takes, and what else is to be done, one line each."""
    column = COLUMNS.get(dataset.labels)
    labels = (
        {} if column is None else {column: n_independent([case.patient for case in dataset.cases if case.is_labelled])}
    )
    figures = FIGURES | ({"class": "fig4"} if (folder / "train.csv").is_file() else {})
    return _commands([folder], labels, figures, [image for group in groups for image in group.images])


def commands_for_tables(tables: Sequence[Table]) -> tuple[list[str], list[str]]:
    """Return the commands for tables, and what else is to be done, one line each."""
    commands: list[str] = []
    advice: list[str] = []
    alike: dict[object, list[Table]] = {}
    for table in tables:
        alike.setdefault((table.group.modality or table.path, *table.labels), []).append(table)
    for same in alike.values():
        first, paths = same[0], [table.path for table in same]
        if first.labels or first is tables[0]:
            labels = {column: sum(table.labels[column] for table in same) for column in first.labels}
            found = _commands(paths, labels, _figures(first), [image for each in same for image in each.group.images])
            commands += found[0]
            advice += [*(f"{table.path}: {line}" for table in same for line in _advice(table)), *found[1]]
        else:
            given, kind = " ".join(map(str, paths)), first.group.kind
            advice.append(f"{given}: has no labels; --pool {given} pretrains on its {kind} too")
    return commands, advice


def _figures(table: Table) -> dict[str, str]:
    """Return the figure for each column of labels."""
    sheet, looks = table.group.sheet, table.group.sample.looks
    is_graded = sheet is not None and {*sheet.labels.values()} == GRADES and FUNDUS in looks
    return FIGURES | ({"class": "fig4"} if is_graded else {})


def _commands(
    paths: Sequence[Path], labels: Mapping[str, int], figures: Mapping[str, str], images: Sequence[Image]
) -> tuple[list[str], list[str]]:
    """Return the commands for the columns of labels that are enough for folds, and advice for the others."""
    commands, advice = [], []
    given = [*map(str, paths)]
    data = " ".join(given)
    differ = len({(image.shape, image.spacing) for image in images if image.dims == 3}) > 1
    for column, count in labels.items():
        labelled = f"{count} patients (or images, where patients are unknown) have a label in {column}"
        if count < FOLDS:
            need = f"sslmed reproduce {figures[column]} needs {FOLDS}, one for each fold"
            advice.append(f"{data}: {labelled}; {need}: label more")
            continue
        command = ["sslmed", "reproduce", figures[column], "--data", *given]
        command += ["--spacing", "auto"] if differ and figures[column] == FIGURES["mask"] else []
        if count < COMPARED:
            command += ["--arms", *WITH_ONE_CASE]
            why = f"{labelled}, which may leave one image for validation"
            advice.append(f"{data}: {why}; tasks that compare cases, such as exemplar and cpc, need {COMPARED}")
        commands += [shlex.join([*command, "--dry-run"]), shlex.join(command)]
    if not labels:
        advice.append(f"{data}: has no labels; add a column mask, class or value, or give it as --pool {data}")
    if not commands:
        commands = [shlex.join(["sslmed", "prepare", *given, "--pool", "--store", f"stores/{paths[0].stem}"])]
    return commands, advice


def _advice(table: Table) -> list[str]:
    """Return what to look at in a table."""
    group, sheet = table.group, table.group.sheet
    advice = []
    kinds = [f"{kind} ({len(masks)})" for kind, masks in group.masks.items()]
    if len(kinds) > 1:
        cure = "to take another one, call its column mask"
        advice.append(f"has {len(kinds)} kinds of label maps, {', '.join(kinds)}; the first is taken; {cure}")
    if group.modality == ("CT",) and not group.images[0].modality:
        advice.append(
            "says CT, as the images look, and CTs are clipped to a HU window; remove modality if they are none"
        )
    if not table.has_patients:
        advice.append("names no patients; if they have several images, add patient, to keep these in one fold")
    if sheet is not None and sheet.others and not sheet.column and not table.labels:
        what = f"{sheet.path} lists the images, and its label may be {', '.join(sheet.others)}"
        advice.append(f"has no class or value; {what}: add it as one")
    if sheet is not None and sheet.column and len(sheet.others) > 1:
        others = shorten([name for name in sheet.others if name != sheet.column])
        advice.append(f"{sheet.kind} is {sheet.column} of {sheet.path}, which also has {others}: is that the label?")
    return advice
