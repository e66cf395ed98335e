"""Which layout a data folder has: the Medical Segmentation Decathlon's, APTOS's, or, for a pool, just any images."""

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from sslmed.core.errors import DataError
from sslmed.preparation.readers import decathlon, fundus

Dataset: TypeAlias = decathlon.Dataset | fundus.FundusDataset
Case: TypeAlias = decathlon.Case | fundus.Photo


def has_layout(root: Path) -> bool:
    """Whether a folder holds what says which cases there are."""
    return (root / "dataset.json").is_file() or (root / "train.csv").is_file()


def scan(root: Path, *, pool: bool = False) -> tuple[Dataset, list[str]]:
    """Find the cases of a data folder; return them, and what is wrong with other entries, one line each.

    Args:
        root: The folder.
        pool: Look for images to pretrain on: labels are not looked at, and a folder of images needs no further file.

    Raises:
        DataError: No case can be used.
    """
    if (root / "dataset.json").is_file():
        volumes, problems = decathlon.scan_dataset(root)
        if pool:
            volumes = replace(volumes, cases=tuple(replace(case, label=None) for case in volumes.cases))
        return volumes, problems
    if (root / "train.csv").is_file():
        photos, problems = fundus.scan_fundus(root)
        if pool:
            cases = tuple(replace(photo, grade=None, patient=None) for photo in photos.cases)
            photos = replace(photos, cases=cases)
        return photos, problems
    if pool and root.is_dir():
        return fundus.scan_images(root)
    expected = "dataset.json, as an MSD task does, or train.csv, as APTOS 2019 does"
    raise DataError([f"{root}: no such dataset; give a folder that holds {expected}"])


def read(root: Path, *, pool: bool = False) -> Dataset:
    """Find the cases of a data folder, of which all must be usable.

    Raises:
        DataError: With one line per problem, all of them at once.
    """
    dataset, problems = scan(root, pool=pool)
    if problems:
        raise DataError(problems)
    return dataset
