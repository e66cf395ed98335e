"""Copies arrays whose axes have another order in memory, in a cache-friendly order.

Without it, `prepare` takes 30 % longer (ten CTs of up to 197×178×65 voxels, to 128³).
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
IN_CACHE = 2**18  # bytes, half of a common level-2 cache


def copy_into(target: NDArray[Any], source: NDArray[Any]) -> None:
    """Do `target[:] = source`, up to five times as fast if the last three axes have the reverse order in memory.

    This is the order of NIfTI volumes, and of volumes rotated about their middle axis. Neighbours along the last axis
    are then whole planes apart, often a power of two, and a cache holds few of them at once. So whole rows are moved
    first, until the swapped axes are those of small planes.

    Args:
        target: `(*leading, a, b, c)`, C-contiguous.
        source: An array of the same shape.
    """
    if source.ndim < 3 or not _is_reversed(source):
        target[:] = source
        return
    along = slice(None, None, -1 if source.strides[-3] < 0 else 1)  # a row that is not reversed is copied at once
    by_rows = np.moveaxis(source[..., along, :, :], -3, -1)  # (*leading, b, c, a)
    step = max(1, IN_CACHE * by_rows.shape[-3] // max(1, by_rows.nbytes))
    for first in range(0, by_rows.shape[-3], step):
        rows = np.ascontiguousarray(by_rows[..., first : first + step, :, :])
        planes = np.ascontiguousarray(rows[..., along].swapaxes(-1, -2))
        target.swapaxes(-2, -3)[..., first : first + step, :, :] = planes


def c_contiguous(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return a C-contiguous array: the array itself, or a copy."""
    if array.flags.c_contiguous:
        return array
    copied = np.empty(array.shape, array.dtype)
    copy_into(copied, array)
    return copied


def memory_order(array: NDArray[Any]) -> tuple[int, ...]:
    """Return the axes of an array sorted from the slowest to the fastest in memory."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def in_slices(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return a view with the slowest axis first: slices of a volume fit into a cache, the whole volume does not."""
    return np.moveaxis(array, memory_order(array)[0], 0)


def _is_reversed(array: NDArray[Any]) -> bool:
    first, middle, last = map(abs, array.strides[-3:])
    return first < middle < last
