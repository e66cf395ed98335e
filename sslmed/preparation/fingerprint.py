"""Chooses a spacing for a dataset of volumes, and crops to train on, from headers.

Source: Isensee et al. 2021, nnU-Net, https://doi.org/10.1038/s41592-020-01008-z, supplementary note 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslmed.core.errors import DataError, UserError
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.readers.formats import Header, read_header

ANISOTROPIC = 3  # times the other axes' spacing, and fewer voxels by this factor: nnU-Net's limit
LEAST_MAP = 4  # voxels along each side of the coarsest feature map, as in nnU-Net
LEAST_SIDE = 64  # voxels along each side of a crop, which is enough even if that map has fewer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fingerprint:
    """Describes the volumes of a dataset. Axes run towards right, anterior and superior.

    Attributes:
        n_images: Number of volumes.
        spacing: Voxel size in mm to resample to.
        shape: Median sides of the volumes at this spacing, in voxels.
    """

    n_images: int
    spacing: tuple[float, float, float]
    shape: tuple[int, ...]


def measure(dataset: Dataset) -> Fingerprint:
    """Read the headers of all volumes.

    Raises:
        DataError: If the header of no volume can be used.
        UserError: If the images are photographs.
    """
    if dataset.spatial_dims == 2:
        raise UserError(f"{dataset.root}: photographs have no spacing in mm; leave out --spacing auto")
    headers: list[Header] = []
    problems: list[str] = []
    for case in dataset.cases:
        try:
            headers.append(read_header(case.image))
        except DataError as error:
            problems += error.problems
    if not headers:
        raise DataError(problems)
    axes = [_axes_to_ras(header.orientation) for header in headers]
    spacings = np.array([np.take(header.spacing, order) for header, order in zip(headers, axes, strict=True)])
    sides = np.array([np.take(header.shape, order) for header, order in zip(headers, axes, strict=True)])
    spacing = _target_spacing(spacings, sides)
    shape = np.ceil(np.median(sides * spacings / spacing, axis=0))
    right, anterior, superior = (float(f"{length:.3g}") for length in spacing)
    return Fingerprint(len(headers), (right, anterior, superior), tuple(map(int, shape)))


def describe(found: Fingerprint) -> list[str]:
    """Say in two lines what was found."""
    return [
        f"spacing: {times(found.spacing)} mm, for {found.n_images} volumes",
        f"volumes: {times(found.shape)} voxels in the median",
    ]


def times(sides: Sequence[float]) -> str:
    """Format sides as `96 x 96 x 48`."""
    return " x ".join(f"{side:g}" for side in sides)


def choose_crop(fingerprint: Fingerprint, *, voxels: float, reduction: int) -> tuple[int, ...]:
    """Choose a crop that is as cubic in mm as the volumes allow.

    Args:
        fingerprint: The volumes.
        voxels: Most voxels of a crop.
        reduction: Voxels per voxel of the encoder's coarsest map, which must divide the sides. Sides are at least 64,
            or leave 4 voxels there; smaller volumes are padded.

    Returns:
        Sides in voxels.
    """
    spacing, least = np.array(fingerprint.spacing), min(LEAST_MAP * reduction, max(LEAST_SIDE, reduction))
    whole = np.ceil(np.maximum(fingerprint.shape, least) / reduction) * reduction
    best = np.full(3, least)
    steps = np.arange(1, 1 + whole.max() // reduction) * reduction
    for length in np.sort(np.outer(steps, spacing).ravel()):
        sides = np.clip((length / spacing + 1e-6) // reduction * reduction, least, whole)
        if sides.prod() > voxels:
            break
        best = sides
    return tuple(map(int, best))


def _target_spacing(spacings: Floats, sides: NDArray[np.int64]) -> Floats:
    """Return the median spacing; on an axis of thick slices the 10th percentile, but no finer than the other axes."""
    target: Floats = np.median(spacings, axis=0)
    shape = np.median(sides * spacings, axis=0) / target
    thick = int(target.argmax())
    others = [axis for axis in range(3) if axis != thick]
    if target[thick] > ANISOTROPIC * target[others].max() and ANISOTROPIC * shape[thick] < shape[others].min():
        target[thick] = max(np.percentile(spacings[:, thick], 10), target[others].max())
    return target


def _axes_to_ras(orientation: str) -> list[int]:
    """Return the axis of the file along each of the axes right, anterior, superior; `LPS` gives 0, 1, 2."""
    return [next(axis for axis, letter in enumerate(orientation) if letter in pair) for pair in ("RL", "AP", "SI")]
