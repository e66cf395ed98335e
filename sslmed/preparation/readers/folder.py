"""Finds the images in a folder and its subfolders, which no table lists: volumes of any format, or photographs."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from sslmed.core.errors import DataError
from sslmed.preparation.readers import dicom
from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.readers.formats import source_files
from sslmed.preparation.readers.fundus import COLOURS
from sslmed.preparation.readers.label_names import is_label_name
from sslmed.preparation.readers.listing import EXTENSIONS, select_images, walk_folder
from sslmed.preparation.readers.names import VOLUMES, escape, name_images, nfc, strip_extension
from sslmed.preparation.readers.volumes import channel_names


def scan_images(root: Path) -> tuple[Dataset, list[str]]:
    """Find the unlabelled images of a folder and its subfolders, also through links.

    The id of an image is its path within the folder without the extension, with `%2F` for `/` and `%25` for `%`.

    Returns:
        The usable images, and the problems of others, one line each.

    Raises:
        DataError: If no image can be used, or there are volumes and photographs.
    """
    problems: list[str] = []
    files = walk_folder(root, problems)
    volumes, label_maps, others = _sort(root, files)
    photographs = select_images(others, problems)
    if volumes and photographs:
        found = f"{len(volumes)} volumes, as {volumes[0]}, and {len(photographs)} photographs, as {photographs[0]}"
        raise DataError([f"{root}: holds {found}; give a folder of one kind, or a table that lists them"])
    images = volumes or photographs
    named = name_images([(_name(root, path), path) for path in images], problems)
    if not named:
        kinds = ", ".join((*VOLUMES, *EXTENSIONS))
        expected = "give a folder of images, or one with table.csv, dataset.json (as MSD) or train.csv (as APTOS 2019)"
        raise DataError(problems or [f"{root}: holds no image ({kinds}, or DICOM); {expected}"])
    return Dataset(
        root=root,
        name=root.resolve().name,
        spatial_dims=3 if volumes else 2,
        modalities=channel_names([*named.values()]) if volumes else COLOURS,
        labels="none",
        label_names={},
        cases=tuple(Case(name, path) for name, path in sorted(named.items())),
        label_maps=tuple(label_maps),
    ), problems


def _sort(root: Path, files: Iterable[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the volumes, of which series are folders or `FOLDER/UID`; label maps by their names; and other files."""
    volumes: list[Path] = []
    label_maps: list[Path] = []
    others: list[Path] = []
    of_series: list[Path] = []
    for path in files:
        name = path.name.lower()
        if name.endswith(EXTENSIONS) or not path.is_file():
            others.append(path)
        elif not name.endswith(VOLUMES):
            (of_series if dicom.is_dicom(path) else others).append(path)
        elif is_label_name(path.relative_to(root)):
            label_maps.append(path)
        elif not (name.endswith(".img") and len(source_files(path)) > 1):  # a pair is named by its .hdr
            volumes.append(path)
    for folder in {path.parent for path in of_series}:
        uids = dicom.series_uids(folder)
        volumes += [folder] if len(uids) < 2 else [folder / uid for uid in uids]
    return sorted(volumes), label_maps, others


def _name(root: Path, path: Path) -> str:
    within = path.relative_to(root)
    name = strip_extension(str(PurePath(within)), (*VOLUMES, *EXTENSIONS))
    return escape(nfc(name if within.parts else root.resolve().name))
