"""Samples voxels of each class of a label map, so that training can centre crops on them without reading the map."""

import numpy as np
from numpy.typing import NDArray

VOXELS = 1000  # of each class; of a larger one, these are spread evenly over it


def foreground_voxels(labels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return at most 1000 voxels of each class but background.

    Args:
        labels: Label map `(*spatial)`; 0 is the background.

    Returns:
        `(N, 1 + d)`: the class, then the position on each axis.
    """
    rows = [np.zeros((0, 1 + labels.ndim), dtype=np.int32)]
    for code in np.flatnonzero(np.bincount(labels.ravel())):
        if code == 0:
            continue
        found = np.flatnonzero(labels == code)
        number = min(VOXELS, len(found))
        chosen = found[np.arange(number) * len(found) // number]
        positions = np.unravel_index(chosen, labels.shape)
        rows.append(np.stack([np.full(number, code), *positions], axis=1).astype(np.int32))
    return np.concatenate(rows)
