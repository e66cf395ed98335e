"""Reads and checks the volumes of one case, whatever their format."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslmed.core.errors import DataError, refuse
from sslmed.preparation.channels import MODALITIES, UNNAMED, name_channels
from sslmed.preparation.normalise import extremes
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.dicom import is_series
from sslmed.preparation.readers.formats import open_volume, read_header
from sslmed.preparation.readers.nifti_header import Affine, forms, has_form, position

ROUNDING = 1e-3  # by which a scaled integer may miss it
SAME_PLACE = 0.1  # voxels by which the corners of an image and its label may lie apart
UNDECLARED = 255


@dataclass(frozen=True)
class Volume:
    """Holds voxels and their position in space.

    Args:
        voxels: `(*spatial)` or, for an image, `(C, *spatial)`, as in the file: the first axis is the fastest.
        affines: All affines `(4, 4)`, from voxel indices to mm, that a reader may take from the header; see `forms`.
        position: Fields of the header that say where the voxels lie.
    """

    voxels: NDArray[Any]
    affines: Sequence[Affine]
    position: dict[str, Any]

    @property
    def affine(self) -> Affine:
        """The affine to use."""
        return self.affines[0]


def read_case(case: Case, modalities: Sequence[str], label_values: Sequence[int]) -> tuple[Volume, Volume | None]:
    """Read and check the image, float32 `(C, *spatial)`, and the label, uint8 `(*spatial)`, of one case.

    Args:
        case: The files to read.
        modalities: Name of each channel.
        label_values: Declared label values, sorted. The label is returned as positions in them, or unchanged if none
            are declared.

    Raises:
        DataError: If a file cannot be used; one line for each.
    """
    problems: list[str] = []
    image = label = None
    try:
        image = read_channels(case.images, modalities)
    except DataError as error:
        problems += error.problems
    if case.mask is not None:
        try:
            label = read_label(case.mask, label_values, image)
        except DataError as error:
            problems += error.problems
    if image is None or problems:
        raise DataError(problems)
    return image, label


def channel_names(images: Sequence[Path]) -> tuple[str, ...]:
    """Return default names for the channels of images, from one header: the modality if one is DICOM.

    Else they are `channel`, or `channel 1` and so on. An unreadable file gives one name, as reading it reports the
    problem.
    """
    try:
        header = read_header(next(filter(is_series, images), images[0]))
    except DataError:
        return UNNAMED
    return (header.modality,) if header.channels == 1 and header.modality else name_channels(header.channels)


def read_channels(paths: Sequence[Path], modalities: Sequence[str]) -> Volume:
    """Read and check an image of one file, or of one for each channel, on one grid.

    Args:
        paths: The files.
        modalities: Name of each channel.

    Returns:
        float32 `(C, *spatial)`.

    Raises:
        DataError: If a file cannot be used.
    """
    if len(paths) == 1:
        return _read_image(paths[0], modalities)
    if len(paths) != len(modalities):
        names = ", ".join(modalities)
        refuse(paths[0], f"is one of {len(paths)} channels, but the dataset has {len(modalities)} ({names})")
    channels = [_read_image(path, [modality]) for path, modality in zip(paths, modalities, strict=True)]
    for path, channel in zip(paths, channels, strict=True):
        _check_same_place(path, replace(channel, voxels=channel.voxels[0]), channels[0])
    return replace(channels[0], voxels=np.concatenate([channel.voxels for channel in channels]))


def _read_image(path: Path, modalities: Sequence[str]) -> Volume:
    file = open_volume(path)
    _check_modality(path, file.extra.get("modality"), modalities)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused below
        voxels = file.get_fdata(caching="unchanged", dtype=np.float32)
    voxels = np.moveaxis(voxels.reshape(*file.shape[:3], -1, order="F"), -1, 0)
    if len(voxels) != len(modalities):
        names = ", ".join(modalities)
        refuse(path, f"has {len(voxels)} channels, but the dataset has {len(modalities)} ({names})")
    for channel, modality in zip(voxels, modalities, strict=True):
        name = f"channel {modality} " if len(modalities) > 1 else ""
        low, high = extremes(channel)
        if not (np.isfinite(low) and np.isfinite(high)):
            refuse(path, f"{name}holds NaN or infinite voxels; replace them, or leave the case out")
        if low == high:
            refuse(path, f"{name}is constant (every voxel is {low:g}); export it again, or leave the case out")
    return Volume(voxels, forms(file.header), position(file.header))


def _check_modality(path: Path, modality: str | None, modalities: Sequence[str]) -> None:
    others = [name for name in modalities if name in MODALITIES and modality not in (None, "", name)]
    if others:
        refuse(path, f"is {modality} by its DICOM header, but the dataset's images are {others[0]}; take it out")


def read_label(path: Path, label_values: Sequence[int], image: Volume | None) -> Volume:
    """Read and check a label.

    Args:
        path: The file.
        label_values: Declared label values, sorted; may be empty.
        image: The image, which must have the same grid; `None` if it could not be read.

    Returns:
        uint8 `(*spatial)` of positions in `label_values`, or of the values if none are declared.

    Raises:
        DataError: If the file cannot be used.
    """
    file = open_volume(path)
    if math.prod(file.shape[3:]) != 1:
        refuse(path, f"has shape {file.shape}; a label must have one channel")
    voxels = np.asanyarray(file.dataobj).reshape(file.shape[:3], order="F")
    label = Volume(voxels, forms(file.header), position(file.header))
    if image is not None:
        _check_same_place(path, label, image)
    return replace(label, voxels=_to_indices(path, voxels, label_values))


def _to_indices(path: Path, voxels: NDArray[Any], label_values: Sequence[int]) -> NDArray[np.uint8]:
    declared = f"declared are {', '.join(map(str, label_values)) or f'0 to {UNDECLARED}'}"
    if voxels.dtype.kind == "f":
        voxels = _round(path, voxels)
    if (low := voxels.min()) < 0:
        refuse(path, f"holds negative label values ({low:g}); {declared}")
    usable = label_values or range(UNDECLARED + 1)
    if tuple(usable) == tuple(range(len(usable))) and voxels.max() < len(usable):
        return voxels.astype(np.uint8)  # nothing to translate
    indices = np.full_like(voxels, UNDECLARED, dtype=np.uint8)
    for index, value in enumerate(usable):
        np.copyto(indices, index, where=voxels == value)
    if (undeclared := voxels[indices == UNDECLARED]).size:
        values = ", ".join(f"{value:g}" for value in np.unique(undeclared)[:5])
        refuse(path, f"holds undeclared label values ({values}); {declared}")
    return indices


def _round(path: Path, voxels: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(voxels).all():
        refuse(path, "holds NaN or infinite label values; export it again")
    rounded: NDArray[Any] = np.rint(voxels)
    fractional = voxels[abs(voxels - rounded) > ROUNDING]
    if fractional.size:
        refuse(path, f"holds fractional label values ({fractional[0]:g}); resample labels with nearest neighbours")
    return rounded


def _check_same_place(path: Path, label: Volume, image: Volume) -> None:
    """Refuse a label, or a channel, that lies elsewhere than its image.

    Programs take different forms of an affine, and write only that one: the label of a tilted CT that was saved by ITK
    has the qform of the CT twice, and not its sform. So each form of a label may be any form of its image.
    """
    shape, expected = label.voxels.shape, image.voxels.shape[1:]
    if shape != expected:
        cure = "they must have one grid: resample it to its image"
        refuse(path, f"has shape {shape}, but its image {expected}; {cure}")
    apart = np.array([[_apart(shape, form, of_image) for of_image in image.affines] for form in label.affines])
    near = (apart <= SAME_PLACE).any(axis=1)
    if apart[0, 0] <= SAME_PLACE or (near.all() if has_form(label.position) else near.any()):
        return
    if has_form(label.position) and not has_form(image.position):
        cure = "give both the header that is right"
        refuse(path, f"lies at a place, but its image's header gives none (both form codes are 0); {cure}")
    if has_form(image.position) and not has_form(label.position):
        cure = "if its voxels are in the order of its image's, copy its image's header to it"
        refuse(path, f"has a header that gives no place (both form codes are 0), but its image's does; {cure}")
    cure = "resample it to its image"
    refuse(path, f"has another affine than its image (by {apart[0, 0]:.1f} voxels at a corner); {cure}")


def _apart(shape: Sequence[int], affine: Affine, of_image: Affine) -> float:
    """Return the largest distance between the corners of a volume under two affines, in voxels of the second."""
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, side - 1) for side in shape))]).T
    return float(np.linalg.norm((np.linalg.solve(of_image, affine) @ corners - corners)[:3], axis=0).max())
