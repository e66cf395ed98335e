"""Normalises intensities to [0, 1], and finds where the body is."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from sslmed.data.settings import PrepareSettings


def normalise(image: NDArray[np.float32], modalities: Sequence[str], settings: PrepareSettings) -> None:
    """Normalise each channel of `(C, *spatial)` in place: a CT by its window, any other modality by its percentiles."""
    for channel, modality in zip(image, modalities, strict=True):
        low, high = settings.hu_window if modality.strip().upper() == "CT" else _percentiles(channel, settings)
        channel -= low
        channel *= 1 / (high - low)
        np.clip(channel, 0, 1, out=channel)


def _percentiles(channel: NDArray[np.float32], settings: PrepareSettings) -> tuple[float, float]:
    low, high = map(float, np.percentile(channel, settings.percentiles))
    if low == high:  # nearly every voxel is the same, e.g. a small object in air
        return float(channel.min()), float(channel.max())
    return low, high


def foreground_box(image: NDArray[np.float32], threshold: float) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return start and stop of the voxels of `(C, *spatial)` above `threshold` in any channel; `None` without any."""
    foreground: NDArray[np.bool_] = reduce(np.logical_or, (channel > threshold for channel in image))
    axes = range(foreground.ndim)
    extents = [np.flatnonzero(foreground.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    if not len(extents[0]):
        return None
    return tuple(int(extent[0]) for extent in extents), tuple(int(extent[-1]) + 1 for extent in extents)
