"""Detects the layout of a dataset: a table, the Medical Segmentation Decathlon, APTOS, or any images as a pool."""

from collections.abc import Sequence
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers import decathlon, folder, fundus, table
from sslmed.preparation.readers.dataset import KINDS, Dataset, Labels
from sslmed.preparation.readers.merged import merge

LAYOUTS = {table.NAME: "a table", "dataset.json": "the Medical Segmentation Decathlon", "train.csv": "APTOS 2019"}
"""File that lists the cases -> name of the layout, in the order in which they are looked for."""


def has_layout(root: Path) -> bool:
    """Return whether a folder has a file that lists its cases."""
    return any((root / name).is_file() for name in LAYOUTS)


def scan(root: Path, *, labels: Labels | None = None, pool: bool = False) -> tuple[Dataset, list[str]]:
    """Find the cases of a dataset, and return them and the problems of other entries, one line each.

    Args:
        root: A folder or a table.
        labels: Kind of labels to read if a table has several; by default those that it has.
        pool: Find images for pretraining: labels are ignored, and a folder of images needs no other file.

    Raises:
        DataError: If no case can be used.
    """
    if listed := _table_of(root):
        return table.scan_table(listed, "none" if pool else labels)
    if (root / "dataset.json").is_file():
        dataset, problems = decathlon.scan_dataset(root)
    elif (root / "train.csv").is_file():
        dataset, problems = fundus.scan_fundus(root)
    elif root.is_dir() and labels is None:
        dataset, problems = folder.scan_images(root)
    else:
        expected = f"{table.NAME}, dataset.json, as an MSD task does, or train.csv, as APTOS 2019 does"
        cure = f"; of any other folder, sslmed check {root} writes a table" if root.is_dir() else ""
        raise DataError([f"{root}: no such dataset; give a table, or a folder that holds {expected}{cure}"])
    if labels is not None and dataset.labels != labels and not pool:
        raise DataError([f"{root}: its labels are {KINDS[dataset.labels]}, not {KINDS[labels]}"])
    return dataset.without_labels() if pool else dataset, problems


def scan_all(roots: Sequence[Path], *, labels: Labels | None = None, pool: bool = False) -> tuple[Dataset, list[str]]:
    """Find the cases of one dataset or of several, which become one; see `scan`.

    Where there are several, those that have no labels, such as folders of loose images, are unlabelled cases.

    Raises:
        DataError: If no case can be used, or the datasets are of different kinds.
    """
    if len(roots) == 1:
        return scan(roots[0], labels=labels, pool=pool)
    found = [scan(root, labels=labels if _is_labelled(root) else None, pool=pool) for root in roots]
    return merge([dataset for dataset, _ in found]), [problem for _, problems in found for problem in problems]


def _is_labelled(root: Path) -> bool:
    if listed := _table_of(root):
        return table.has_labels(listed)
    return has_layout(root) or not root.is_dir()


def _table_of(root: Path) -> Path | None:
    """Return the table that a dataset is, or that its folder holds."""
    if root.is_file() and root.suffix.lower() != ".csv":
        raise DataError([f"{root}: is no table (.csv); give one, or a folder, as {root.parent}"])
    return next((path for path in (root, root / table.NAME) if path.is_file()), None)


def read(*roots: Path, labels: Labels | None = None, pool: bool = False) -> Dataset:
    """Find the cases of one dataset or of several; all must be usable. For the arguments see `scan`.

    Raises:
        DataError: If there is a problem; one line for each.
    """
    dataset, problems = scan_all(roots, labels=labels, pool=pool)
    if problems:
        raise DataError(problems)
    return dataset
