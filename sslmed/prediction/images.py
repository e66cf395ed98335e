"""Finds the images to predict, and names each after its place below the folder that they have in common."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.nearest import did_you_mean_path
from sslmed.preparation.channels import agree, name_channels
from sslmed.preparation.readers.dicom import is_series
from sslmed.preparation.readers.layouts import has_layout, scan
from sslmed.preparation.readers.names import VOLUMES, strip_extension
from sslmed.preparation.readers.photographs import FORMATS
from sslmed.preparation.recipe import Recipe

log = logging.getLogger(__name__)

EXTENSIONS = (*VOLUMES, *FORMATS)
KINDS = {2: "photographs", 3: "volumes"}


@dataclass(frozen=True)
class Image:
    """An image to predict.

    Attributes:
        path: Its file, or the folder of a DICOM series, or `FOLDER/UID`.
        name: Its path below the folder that all images have in common, without the extension; unique.
        channels: The files of its other channels, if each channel is a file.
    """

    path: Path
    name: str
    channels: tuple[Path, ...] = ()


def find_images(given: Sequence[Path], recipe: Recipe) -> tuple[list[Image], list[str]]:
    """Find the images in files, folders with subfolders, tables, and datasets, whose labels are ignored.

    Args:
        given: Paths of these.
        recipe: How the network's images are prepared.

    Returns:
        The images, each once, and what is wrong with others, one line each.

    Raises:
        UserError: If a path is none of these, or holds no image that the network takes.
    """
    roots: list[Path] = []
    paths: dict[Path, tuple[Path, ...]] = {}  # absolute -> the files as given
    problems: list[str] = []
    for item in given:
        dims, channels, found = _images_in(item, problems)
        if dims != recipe.spatial_dims:
            takes = KINDS[recipe.spatial_dims]
            raise UserError(f"--images {item}: the network takes {takes}, but this is of {KINDS[dims]}")
        if len(channels) == len(recipe.modalities) and not agree(recipe.modalities, channels):
            here, there = ", ".join(channels), ", ".join(recipe.modalities)
            raise UserError(
                f"--images {item}: its channels are {here}, but those of the network {there}; list them in this order, "
                "and if they are the same by other names, name them so"
            )
        if dims == 3 and len(recipe.modalities) > 1 and channels in ((), name_channels(len(channels))):
            order = ", ".join(recipe.modalities)
            log.info("%s: does not name its channels; they must be in the order of training: %s", item, order)
        roots += [item if item.is_dir() else item.parent, *(path.parent for path, *_ in found)]
        paths |= {_absolute(files[0]): files for files in found}
    common = os.path.commonpath(map(_absolute, roots))
    files = {path: Path(os.path.relpath(path, common)).as_posix() for path in sorted(paths)}
    names = {path: strip_extension(file, EXTENSIONS) for path, file in files.items()}
    counts = Counter(names.values())
    images = []
    for path, name in names.items():
        first, *others = paths[path]
        images.append(Image(first, name if counts[name] == 1 else files[path], tuple(others)))
    return images, problems


def refuse_out_within(out: Path, given: Sequence[Path], images: Sequence[Image]) -> None:
    """Refuse to write into a folder of images.

    Raises:
        UserError: If something would be written there.
    """
    whole = {item.resolve() for item in given if item.is_dir()}
    with_images = {image.path.parent.resolve() for image in images}
    for place in {(out / image.name).parent.resolve() for image in images} | {out.resolve()}:
        if place in with_images or any(place.is_relative_to(folder) for folder in whole):
            raise UserError(f"--out {out}: {place} is in a folder of the images; choose a folder elsewhere")


def _images_in(item: Path, problems: list[str]) -> tuple[int, tuple[str, ...], list[tuple[Path, ...]]]:
    """Return the dimensions, the names of channels if a file lists them, and the files of each image in something."""
    if item.is_dir() or (item.is_file() and item.suffix.lower() == ".csv"):
        dataset, found = scan(item, pool=True)
        problems += found
        names = dataset.modalities if item.is_file() or has_layout(item) else ()  # each file is checked when it is read
        return dataset.spatial_dims, names, [case.images for case in dataset.cases]
    if not item.exists() and not is_series(item):
        raise UserError(f"--images {item}: no such file or folder{did_you_mean_path(item)}")
    if not item.name.lower().endswith(EXTENSIONS) and not is_series(item):
        raise UserError(f"--images {item}: expected a folder, a table (.csv) or an image ({', '.join(EXTENSIONS)})")
    return 2 if item.suffix.lower() in FORMATS else 3, (), [(item,)]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without following links
