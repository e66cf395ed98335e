"""Normalises intensities to [0, 1], and finds the bounding box of the foreground."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sslmed.core.axes import in_slices, memory_order
from sslmed.preparation.settings import PrepareSettings, is_ct

AIR = (-1100.0, -800.0, 1e-3)  # Hounsfield units from and to, and the least fraction of the voxels
FAT = (-150.0, -50.0, 1e-2)  # the same
LEAST_CONTRAST = 0.005  # standard deviation, of a range of 1; a thousandth of bright voxels has six times as much


def normalise(image: NDArray[np.float32], modalities: Sequence[str], settings: PrepareSettings) -> None:
    """Normalise each channel to [0, 1] in place: CT by the window, any other modality by percentiles.

    Args:
        image: `(C, *spatial)`, changed in place.
        modalities: Name of each channel.
        settings: Window in Hounsfield units, and percentiles.
    """
    for channel, modality in zip(image, modalities, strict=True):
        low, high = settings.hu_window if is_ct(modality) else _percentiles(channel, settings)
        for plane in in_slices(channel):
            plane -= low
            plane *= 1 / (high - low)
            np.clip(plane, 0, 1, out=plane)


def in_hounsfield_units(channel: NDArray[np.float32]) -> bool:
    """Return whether a CT `(*spatial)` has air or fat where Hounsfield units have them.

    Every scan of a body has one of them, also one that was cropped or clipped. One that is stored as 0 to 1, as 0 to
    255 or as Hounsfield units + 1024 has neither.
    """
    planes = in_slices(channel)
    return any(
        sum(np.count_nonzero((plane > low) & (plane < high)) for plane in planes) >= fraction * channel.size
        for low, high, fraction in (AIR, FAT)
    )


def is_nearly_constant(channel: NDArray[np.float32]) -> bool:
    """Return whether a normalised channel `(*spatial)` has next to no contrast."""
    planes = [plane.ravel(order="K") for plane in in_slices(channel)]
    mean = sum(float(plane.sum(dtype=np.float64)) for plane in planes) / channel.size
    mean_square = sum(float(plane @ plane) for plane in planes) / channel.size  # in a tenth of the time of `var`
    return mean_square - mean**2 < LEAST_CONTRAST**2


def extremes(channel: NDArray[np.float32]) -> tuple[float, float]:
    """Return the minimum and the maximum of a channel `(*spatial)`; NaN if any value is NaN."""
    found = np.array([(plane.min(), plane.max()) for plane in in_slices(channel)])
    return float(found[:, 0].min()), float(found[:, 1].max())


def _percentiles(channel: NDArray[np.float32], settings: PrepareSettings) -> tuple[float, float]:
    low, high = map(float, np.percentile(channel, settings.percentiles))
    if low == high:  # nearly every voxel is the same, e.g. a small object in air
        return extremes(channel)
    return low, high


def foreground_box(image: NDArray[np.float32], threshold: float) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the bounding box of the voxels above a threshold in any channel.

    Args:
        image: `(C, I, J, K)`.
        threshold: Normalised intensity.

    Returns:
        First voxel and one beyond the last voxel on each axis; `None` if no voxel is above the threshold.
    """
    found = [np.zeros(side, dtype=np.bool_) for side in image.shape[1:]]
    for channel in image:
        slowest = memory_order(channel)[0]
        first, second = (along for axis, along in enumerate(found) if axis != slowest)
        for index, plane in enumerate(in_slices(channel)):
            foreground = plane > threshold
            first |= foreground.any(axis=1)
            second |= foreground.any(axis=0)
            found[slowest][index] |= foreground.any()
    extents = [np.flatnonzero(along) for along in found]
    if not len(extents[0]):
        return None
    return tuple(int(extent[0]) for extent in extents), tuple(int(extent[-1]) + 1 for extent in extents)
