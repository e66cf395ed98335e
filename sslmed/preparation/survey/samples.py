"""Reads the voxels of some images and label maps: what values they hold, and what the images look like."""

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslmed.core.errors import DataError
from sslmed.preparation.normalise import in_hounsfield_units
from sslmed.preparation.readers.photographs import read_mask, read_photo
from sslmed.preparation.readers.volumes import read_channels, read_label
from sslmed.preparation.survey.image import Image

MOST_READ = 16
"""Images of a group whose voxels are read."""

MOST_VOXELS = 400_000_000
"""Voxels of a group that are read at most, in about ten seconds; the first image is always read."""

CT = "CT in Hounsfield units"
FUNDUS = "photographs of the fundus"

MAP = "label maps: few whole numbers"
MOST_LABELS = 16
LOOKED_AT = 100_000  # voxels, enough to tell a label map from an image

CORNER = 0.06  # of the sides of a photograph
DARK = 30  # of 255


@dataclass
class Sample:
    """Holds what the voxels of some images say.

    Args:
        n_images: Images that were read and can be used.
        ranges: Lowest, median and highest value of each image.
        maps: Names of images that look like label maps.
        looks: What the images look like -> how many do; there is no guess for volumes of several channels.
        values: Value of a label -> voxels.
        occurring: Name of an image -> values of its label map, of those that were read and can be used.
        bad_images: Name of an image that cannot be used -> what is wrong with it, one line each.
        bad_masks: Name of an image whose label map cannot be used -> what is wrong with that, one line each.
    """

    n_images: int = 0
    ranges: list[tuple[float, float, float]] = field(default_factory=list)
    maps: list[str] = field(default_factory=list)
    looks: Counter[str] = field(default_factory=Counter)
    values: Counter[int] = field(default_factory=Counter)
    occurring: dict[str, list[int]] = field(default_factory=dict)
    bad_images: dict[PurePath, tuple[str, ...]] = field(default_factory=dict)
    bad_masks: dict[PurePath, tuple[str, ...]] = field(default_factory=dict)


def choose(images: Sequence[Image], first: Container[PurePath]) -> list[Image]:
    """Choose the images to read, evenly over the list.

    Args:
        images: All images.
        first: Names of those to take first: they have label maps.
    """
    labelled = _evenly([image for image in images if image.name in first], MOST_READ)
    others = _evenly([image for image in images if image.name not in first], MOST_READ - len(labelled))
    totals = np.cumsum([image.n_voxels for image in (*labelled, *others)])
    return [
        image for image, total in zip((*labelled, *others), totals, strict=True) if total <= max(MOST_VOXELS, totals[0])
    ]


def _evenly(images: Sequence[Image], count: int) -> list[Image]:
    count = min(count, len(images))
    return [images[index * len(images) // count] for index in range(count)]


def read_sample(images: Sequence[Image], masks: Mapping[PurePath, Path], advance: Callable[[], object]) -> Sample:
    """Read images and their label maps.

    Args:
        images: The images to read.
        masks: Name of an image -> its label map.
        advance: Is called after each image.
    """
    sample = Sample()
    for image in images:
        try:
            voxels = _read(sample, image, masks.get(image.name))
        except DataError as error:
            sample.bad_images[image.name] = error.problems
        else:
            sample.n_images += 1
            sample.ranges.append((float(voxels.min()), float(np.median(voxels)), float(voxels.max())))
            if _is_map(voxels):
                sample.maps.append(str(image.name))
                sample.looks[MAP] += 1
            elif image.dims == 2 or image.channels == 1:
                sample.looks[_looks_like(voxels) if image.dims == 3 else _looks_like_photo(voxels)] += 1
        advance()
    return sample


def _read(sample: Sample, image: Image, mask: Path | None) -> NDArray[Any]:
    """Return the voxels of an image, and add its label map to the sample."""
    if image.dims == 2:
        photo = read_photo(image.files[0])
        if mask is not None:
            _add_map(sample, image, lambda: read_mask(mask, photo.shape[:2]))
        return photo
    volume = read_channels(image.files, [f"channel {number}" for number in range(image.channels)])
    if mask is not None:
        _add_map(sample, image, lambda: read_label(mask, (), volume).voxels)
    return volume.voxels


def _add_map(sample: Sample, image: Image, read: Callable[[], NDArray[Any]]) -> None:
    try:
        counts = np.bincount(read().ravel(order="K"))
    except DataError as error:
        sample.bad_masks[image.name] = error.problems
    else:
        occurring = np.flatnonzero(counts).tolist()
        sample.occurring[str(image.name)] = occurring
        sample.values.update({value: int(counts[value]) for value in occurring})


def _is_map(voxels: NDArray[Any]) -> bool:
    """Whether values are those of a label map: 0 and a few other whole numbers."""
    values = np.unique(voxels.ravel(order="K")[:: 1 + voxels.size // LOOKED_AT])
    return values[0] == 0 and 1 < len(values) <= MOST_LABELS and bool((values == np.floor(values)).all())


def _looks_like(voxels: NDArray[np.float32]) -> str:
    """Guess the modality of a volume `(1, *spatial)` from its values."""
    low, high = float(voxels.min()), float(voxels.max())
    if low < -100 and high > 50 and in_hounsfield_units(voxels[0]):
        return CT
    if low >= 0 and high > 1:
        return "MR or another scan without units: no value is below 0"
    return "scans that were normalised" if high <= 50 else "neither CT in Hounsfield units nor MR"


def _looks_like_photo(photo: NDArray[np.uint8]) -> str:
    """Guess what a photograph `(H, W, 3)` shows: a fundus is a red disc, and its corners are dark."""
    grey = photo.max(axis=-1)
    if (photo == photo[..., :1]).all():
        return "grey pictures"
    sides = [max(1, int(CORNER * side)) for side in grey.shape]
    corners = [grey[rows][:, columns].max() for rows in _ends(sides[0]) for columns in _ends(sides[1])]
    red, green, blue = np.median(photo[grey > DARK], axis=0) if (grey > DARK).any() else (0, 0, 0)
    is_fundus = sum(corner <= DARK for corner in corners) >= 3 and red > green > blue
    return FUNDUS if is_fundus else "colour photographs"


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)
