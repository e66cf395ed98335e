"""Resizes images by linear interpolation, and label maps by nearest neighbours, axis by axis."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sslmed.core.axes import memory_order


def resize(image: NDArray[np.float32], grid: Sequence[int]) -> NDArray[np.float32]:
    """Resize an image by linear interpolation, with antialiasing by a wider triangle filter where it shrinks.

    `F.interpolate(mode="bilinear", antialias=True)` does this for 2-D images. The filter is separable, so it is applied
    to the axes one by one, with the other axis of the "image" unchanged. The memory order of the axes is kept.

    Args:
        image: `(C, *spatial)`.
        grid: New spatial shape, in voxels.

    Returns:
        `(C, *grid)`.
    """
    order = (0, *(axis for axis in memory_order(image) if axis))  # read memory as it lies
    resized = np.ascontiguousarray(image.transpose(order))
    for axis, side in _most_shrunk_first(image.shape, (image.shape[0], *grid), order):
        resized = resize_axis(resized, axis, side)
    return resized.transpose(np.argsort(order))


def resize_axis(image: NDArray[np.float32], axis: int, side: int) -> NDArray[np.float32]:
    """Resize one axis of an image; see `resize`."""
    import torch  # takes 3 s, and only this needs it

    before, length, after = math.prod(image.shape[:axis]), image.shape[axis], math.prod(image.shape[axis + 1 :])
    # torch 2.13 returns wrong values if the height changes and the new width is 1, so the last axis is the width.
    old, new = ((1, 1, before, length), (before, side)) if after == 1 else ((1, before, length, after), (side, after))
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(image).view(old), size=new, mode="bilinear", antialias=True
    )
    return resized.numpy().reshape(*image.shape[:axis], side, *image.shape[axis + 1 :])


def nearest(labels: NDArray[np.uint8], grid: Sequence[int]) -> NDArray[np.uint8]:
    """Resize `(*spatial)` to `(*grid)` by nearest voxel centres, in integers: to a grid as fine and back is exact."""
    order = memory_order(labels)
    resized = labels.transpose(order)
    for axis, side in _most_shrunk_first(labels.shape, grid, order):
        old = resized.shape[axis]
        resized = resized.take((2 * np.arange(side) + 1) * old // (2 * side), axis)
    return resized.transpose(np.argsort(order))


def _most_shrunk_first(shape: Sequence[int], grid: Sequence[int], order: Sequence[int]) -> list[tuple[int, int]]:
    """List the changed axes of the transposed array and their new lengths; early shrinking saves work."""
    changes = [(axis, grid[old]) for axis, old in enumerate(order) if grid[old] != shape[old]]
    return sorted(changes, key=lambda change: change[1] / shape[order[change[0]]])
