"""Chooses the part of an image that a training sample shows: a random slice, or a crop, random or around foreground.

Every choice is a function of the sample's seed.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def random_slice(n_slices: int, seed: str) -> int:
    """Return the position of a random slice."""
    return random.Random(f"slice {seed}").randrange(n_slices)  # noqa: S311 - not for secrets


def foreground_voxel(voxels: NDArray[np.int32], fraction: float, seed: str) -> list[int] | None:
    """Return a random voxel of a random class, for a fraction of all seeds; else `None`.

    Args:
        voxels: `(N, 1 + d)`, class and position; see `sslmed.preparation.foreground`.
        fraction: Fraction of seeds.
        seed: Seed of the sample.
    """
    generator = random.Random(f"foreground {seed}")  # noqa: S311 - not for secrets
    if generator.random() >= fraction or not len(voxels):
        return None
    chosen = voxels[voxels[:, 0] == generator.choice(np.unique(voxels[:, 0]))]
    position: list[int] = generator.choice(chosen)[1:].tolist()
    return position


def random_crop(
    sides: Sequence[int], size: Sequence[int], seed: str, centre: Sequence[int] | None = None
) -> tuple[slice, ...]:
    """Return the place of a crop inside an image. Where the image is smaller, the crop is all of it.

    Args:
        sides: Sides of the image in voxels.
        size: Sides of the crop.
        seed: Seed of the sample.
        centre: Voxel that is in the middle, or as near to it as the border of the image allows. By default every place
            is equally likely.
    """
    rooms = [max(0, side - wanted) for side, wanted in zip(sides, size, strict=True)]
    generator = random.Random(f"crop {seed}")  # noqa: S311 - not for secrets
    starts = [generator.randint(0, room) for room in rooms]
    if centre is not None:
        wished = [middle - wanted // 2 for middle, wanted in zip(centre, size, strict=True)]
        starts = [min(max(0, start), room) for start, room in zip(wished, rooms, strict=True)]
    return tuple(slice(start, start + wanted) for start, wanted in zip(starts, size, strict=True))


def pad(image: Tensor, size: Sequence[int]) -> Tensor:
    """Pad an image `(..., *spatial)` that is smaller than a crop with zeros, after its last voxel on each axis."""
    missing = [max(0, wanted - side) for side, wanted in zip(image.shape[-len(size) :], size, strict=True)]
    return F.pad(image, [amount for axis in reversed(missing) for amount in (0, axis)])  # torch starts at the last axis
