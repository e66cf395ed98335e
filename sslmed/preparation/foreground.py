"""Lists the classes of a label map, and samples voxels of each, so that training can centre crops on them unread."""

import numpy as np
from numpy.typing import NDArray

VOXELS = 1000  # of each class; of a larger one, these are spread evenly over it


def occurring(labels: NDArray[np.uint8]) -> list[int]:
    """Return the classes that occur, sorted. Ten take a third of the time of counting."""
    return [code for code in range(int(labels.max()) + 1) if (labels == code).any()]


def foreground_voxels(labels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return at most 1000 voxels of each class but background.

    Args:
        labels: Label map `(*spatial)`; 0 is the background.

    Returns:
        `(N, 1 + d)`: the class, then the position on each axis.
    """
    rows = [np.zeros((0, 1 + labels.ndim), dtype=np.int32)]
    for code in occurring(labels):
        if code == 0:
            continue
        found = np.flatnonzero(labels == code)
        number = min(VOXELS, len(found))
        chosen = found[np.arange(number) * len(found) // number]
        positions = np.unravel_index(chosen, labels.shape)
        rows.append(np.stack([np.full(number, code), *positions], axis=1).astype(np.int32))
    return np.concatenate(rows)
