"""The pretext tasks in the straightforward way: what a collate function does to one volume after the other, in numpy.

Each task has a pure function of one volume and of the sampled numbers, to compare sslmed's result with, and one that
draws and makes a batch.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from benchmarks.reference import Volume
from sslmed import pretext
from sslmed.pretext.patches import GRID
from sslmed.pretext.rotation import ROTATIONS

Floats = NDArray[np.floating]


def turn(volume: Volume, rotation: int) -> Volume:
    """Rotate `(C, *spatial)` by a class of the rotation task."""
    turns, (first, second) = ROTATIONS[rotation]
    return np.rot90(volume, turns, (first + 1, second + 1)).copy()


def cut(volume: Volume, origin: Sequence[int], size: Sequence[int]) -> Volume:
    """Cut a patch out of `(C, *spatial)`."""
    i, j, k = (slice(start, start + side) for start, side in zip(origin, size, strict=True))
    return volume[:, i, j, k].copy()


def augment(volume: Volume, matrix: Floats, shift: float, factor: float) -> Volume:
    """Move `(C, *spatial)` by `matrix` about its centre, change contrast and brightness, clip to [0, 1]."""
    if np.abs(matrix - matrix.round()).max() < 1e-6:  # flips and quarter turns alone
        axes = np.abs(matrix).argmax(1)
        moved = volume.transpose(0, *(axis + 1 for axis in axes))
        moved = np.flip(moved, tuple(axis + 1 for axis in range(3) if matrix[axis, axes[axis]] < 0))
    else:
        centre = (np.array(volume.shape[1:]) - 1) / 2
        offset = centre - matrix @ centre
        moved = np.stack(
            [ndimage.affine_transform(each, matrix, offset, order=1, mode="grid-constant") for each in volume]
        )
    mean = moved.mean()
    changed: Volume = np.clip((moved - mean) * factor + mean + shift, 0, 1, dtype=np.float32)
    return changed


def rotation(task: pretext.Rotation, volumes: Sequence[Volume], rng: Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """Rotate every volume."""
    targets = [int(rng.integers(len(ROTATIONS))) for _ in volumes]
    return _stack([turn(volume, target) for volume, target in zip(volumes, targets, strict=True)]), torch.tensor(
        targets
    )


def jigsaw(task: pretext.Jigsaw, volumes: Sequence[Volume], rng: Generator) -> tuple[Tensor, Tensor]:
    """Cut every volume into 27 patches and shuffle them."""
    inputs, targets = [], []
    for volume in volumes:
        target = int(rng.integers(len(task.permutations)))
        patches = _all_patches(volume, rng)
        inputs.append(np.stack([patches[cell] for cell in task.permutations[target].tolist()]))
        targets.append(target)
    return _stack(inputs), torch.tensor(targets)


def relative_patch_location(
    task: pretext.RelativePatchLocation,  # noqa: ARG001
    volumes: Sequence[Volume],
    rng: Generator,
) -> tuple[Tensor, Tensor]:
    """Cut every volume into 27 patches, and keep the centre and another one."""
    inputs, targets = [], []
    centre = GRID**3 // 2
    for volume in volumes:
        patches = _all_patches(volume, rng)
        target = int(rng.integers(len(patches) - 1))
        inputs.append(np.stack([patches[centre], patches[target + (target >= centre)]]))
        targets.append(target)
    return _stack(inputs), torch.tensor(targets)


def exemplar(task: pretext.Exemplar, volumes: Sequence[Volume], rng: Generator) -> tuple[Tensor, None]:
    """Augment every volume; the negative is another one."""
    matrices = task.affine.sample(len(volumes), 3, torch.device("cpu")).double().numpy()
    shifts, factors = (sampled.tolist() for sampled in task.intensity.sample(len(volumes), torch.device("cpu")))
    step = int(rng.integers(1, len(volumes)))
    inputs = []
    for index, volume in enumerate(volumes):
        anchor = augment(volume, matrices[index], shifts[index], factors[index])
        inputs.append(np.stack([anchor, volume, volumes[index - step]]))
    return _stack(inputs), None


def cpc(task: pretext.CPC, volumes: Sequence[Volume], rng: Generator) -> tuple[Tensor, None]:
    """Crop every volume, cut it into a grid of patches, crop each, and flip half of them along the first axis."""
    inputs = []
    for volume in volumes:
        layouts = [task.layout(side) for side in volume.shape[1:]]
        first = [
            rng.integers(side - covered + 1) for side, (covered, *_) in zip(volume.shape[1:], layouts, strict=True)
        ]
        patches = []
        for cell in itertools.product(range(task.grid), repeat=3):
            origin = [
                start + index * step + rng.integers(room - side + 1)
                for start, index, (_, step, room, side) in zip(first, cell, layouts, strict=True)
            ]
            patch = cut(volume, origin, [side for *_, side in layouts])
            patches.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
        inputs.append(np.stack(patches))
    return _stack(inputs), None


def _all_patches(volume: Volume, rng: Generator) -> list[Volume]:
    """One patch of every cell of the 3-per-side grid, each a tenth smaller, at a random place in it."""
    cell = [side // GRID for side in volume.shape[1:]]
    jitter = [side // 10 for side in cell]
    size = [side - less for side, less in zip(cell, jitter, strict=True)]
    return [
        cut(
            volume, [i * side + rng.integers(less + 1) for i, side, less in zip(place, cell, jitter, strict=True)], size
        )
        for place in itertools.product(range(GRID), repeat=3)
    ]


def _stack(arrays: Sequence[NDArray[np.float32]]) -> Tensor:
    return torch.stack([torch.from_numpy(np.ascontiguousarray(array)) for array in arrays])


TASKS: dict[str, Callable[..., tuple[Tensor, Tensor | None]]] = {
    "rotation": rotation,
    "jigsaw": jigsaw,
    "rpl": relative_patch_location,
    "exemplar": exemplar,
    "cpc": cpc,
}
