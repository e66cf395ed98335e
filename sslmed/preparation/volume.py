"""Prepares one volume: checks, normalises, reorients, crops and resizes it."""

import hashlib
import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslmed.core.axes import c_contiguous
from sslmed.core.errors import refuse
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.normalise import (
    extremes,
    foreground_box,
    in_hounsfield_units,
    is_nearly_constant,
    normalise,
)
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.volumes import Volume, read_case
from sslmed.preparation.settings import PrepareSettings, is_ct

LARGEST_GRID = 2**30  # voxels; a grid beyond it is a wrong unit of spacing, not a scan
SHORTEST_SIDE = 2  # voxels; the same at the other end


def prepare_volume(
    case: Case, modalities: Sequence[str], label_values: Sequence[int], settings: PrepareSettings
) -> tuple[dict[str, NDArray[Any]], Geometry, str]:
    """Prepare one case.

    Args:
        case: The files of the case.
        modalities: Name of each channel.
        label_values: Declared label values, sorted; empty to keep the values of the label.
        settings: Settings of the preparation.

    Returns:
        Arrays `image` float16 `(C, *grid)` and, for a labelled case, uint8 `label` `(*grid)` and `native_label`
        `(*original)`; the position of the grid in the original grid; and the digest of the voxels.

    Raises:
        DataError: If files of the case cannot be used.
    """
    import torch  # takes 3 s, and the parent process does not need it

    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # other workers use the other cores
    image, label = read_case(case, modalities, label_values)
    digest = digest_of(image)
    return *prepare_read(case, image, label, modalities, settings), digest


def digest_of(image: Volume) -> str:
    """Return the SHA-256 of the voxels in the order of the body's axes, which copies in other formats have as well."""
    digest = hashlib.sha256()
    for plane in Geometry.closest_to_ras(image.voxels.shape[1:], image.affine).orient(image.voxels).swapaxes(0, -1):
        digest.update(plane.tobytes())
    return digest.hexdigest()


def prepare_read(
    case: Case, image: Volume, label: Volume | None, modalities: Sequence[str], settings: PrepareSettings
) -> tuple[dict[str, NDArray[Any]], Geometry]:
    """Prepare one case that has been read; see `prepare_volume`. The voxels of `image` are changed in place."""
    cts = [channel for channel, modality in zip(image.voxels, modalities, strict=True) if is_ct(modality)]
    for channel in cts:
        _check_units(case, channel)
    normalise(image.voxels, modalities, settings)
    if any(is_nearly_constant(channel) for channel in cts):
        low, high = settings.hu_window
        cure = "check that it is in Hounsfield units, and --hu-window"
        refuse(case.image, f"is nearly constant within the window from {low:g} to {high:g} HU; {cure}")
    geometry = _geometry(case, image, settings)
    arrays: dict[str, NDArray[Any]] = {"image": c_contiguous(_half(geometry.prepare_image(image.voxels)))}
    if label is not None:
        arrays["label"] = c_contiguous(geometry.prepare_labels(label.voxels))
        arrays["native_label"] = label.voxels
    return arrays, geometry


def _half(image: NDArray[np.float32]) -> NDArray[np.float16]:
    """Convert to float16 in a quarter of numpy's time."""
    import torch

    half: NDArray[np.float16] = torch.from_numpy(image).half().numpy()
    return half


def _check_units(case: Case, channel: NDArray[np.float32]) -> None:
    if not in_hounsfield_units(channel):
        low, high = extremes(channel)
        found = f"its values go from {low:g} to {high:g}, with neither air near -1000 nor fat near -100"
        cure = 'rescale it, or name its modality otherwise, as "CT rescaled", to use percentiles'
        refuse(case.image, f"is not in Hounsfield units, although its modality is CT: {found}; {cure}")


def _geometry(case: Case, image: Volume, settings: PrepareSettings) -> Geometry:
    """Choose the crop and the grid for a normalised image `(C, *original)`."""
    whole = Geometry.closest_to_ras(image.voxels.shape[1:], image.affine, image.position)
    if settings.geometry == "spacing":
        sides = np.rint(np.array(whole.stop) * whole.spacing / settings.spacing)
        if sides.prod() * len(image.voxels) > LARGEST_GRID or sides.min() < SHORTEST_SIDE:
            grid = " x ".join(f"{side:.0f}" for side in sides)
            spacing = ", ".join(f"{length:g}" for length in settings.spacing)
            refuse(case.image, f"would be {grid} voxels at {spacing} mm; check its spacing, and --spacing")
        return replace(whole, grid=tuple(int(side) for side in sides))
    box = foreground_box(whole.orient(image.voxels), settings.foreground)
    if box is None:
        refuse(case.image, "has no voxel in the foreground; check its modality and the HU window")
    return replace(whole, start=box[0], stop=box[1], grid=(settings.size,) * 3)
