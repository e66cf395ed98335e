"""Distorts a whole batch at once, for a network to restore: other intensities, shuffled voxels, and noise in boxes.

Source: Zhou et al. 2021, https://arxiv.org/abs/2004.07882, section 3.1, and the authors' `pytorch/utils.py`,
https://github.com/MrGiovanni/ModelsGenesis.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

CURVE_POINTS = 256
BOXES = 5
ANOTHER_BOX = 0.95  # probability, as published
MARGIN = 3  # voxels between a box and the border of the image, as published


def bezier_curves(number: int, device: torch.device, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Sample cubic Bézier curves from (0, 0) to (1, 1), half of them mirrored, from (0, 1) to (1, 0).

    The two other control points are uniform in the unit square. So both coordinates are monotonic.

    Source: Zhou et al. 2021, https://arxiv.org/abs/2004.07882, equation 1.

    Args:
        number: Number of curves, N.
        device: Device of the result.
        generator: Random number generator on `device`; `None` uses the global one.

    Returns:
        Coordinates x and y of points on each curve, `(N, CURVE_POINTS)`; x rises from 0 to 1.
    """
    controls = torch.rand(2, number, 2, 1, generator=generator, device=device)
    mirrored = torch.rand(number, 1, generator=generator, device=device) < 0.5
    t = torch.arange(CURVE_POINTS, device=device) / (CURVE_POINTS - 1)
    x, y = 3 * (1 - t) ** 2 * t * controls[:, :, 0] + 3 * (1 - t) * t**2 * controls[:, :, 1] + t**3
    return x, torch.where(mirrored, y.flip(1), y)


def interpolate(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Interpolate linearly between points, row by row, as `numpy.interp`.

    Args:
        values: `(N, M)`, from the first to the last of x.
        x: Coordinates of points, rising, `(N, P)`.
        y: Values at these points, `(N, P)`.

    Returns:
        `(N, M)`.
    """
    after = torch.searchsorted(x, values, right=True).clamp_(1, x.shape[1] - 1)
    x0, x1, y0, y1 = (each.gather(1, index) for each in (x, y) for index in (after - 1, after))
    weight = (values - x0) / (x1 - x0).clamp_min(torch.finfo(x.dtype).tiny)
    return y0 + weight.clamp(0, 1) * (y1 - y0)


def change_intensities(images: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Map the intensities of some images by random monotonic curves, the same for all channels of an image.

    Args:
        images: `(B, C, *spatial)`, intensities in [0, 1].
        probability: Probability that an image is changed.
        generator: Random number generator on the images' device; `None` uses the global one.

    Returns:
        Images of the same shape.
    """
    curves = bezier_curves(len(images), images.device, generator)
    changed = interpolate(images.flatten(1), *curves).reshape(images.shape)
    return torch.where(happens(probability, images, generator), changed, images)


def shuffle_cells(
    images: Tensor, sizes: Tensor, starts: Tensor, fraction: float, generator: torch.Generator | None = None
) -> Tensor:
    """Shuffle the voxels within some cells of a grid, which has another size and place in every image.

    Args:
        images: `(B, C, *spatial)`. All channels of a voxel stay together.
        sizes: Sides of a cell in voxels, `(B, d)`.
        starts: How many voxels of the first cell lie outside the image, `(B, d)`.
        fraction: Fraction of cells that are shuffled.
        generator: Random number generator on the images' device; `None` uses the global one.

    Returns:
        Images of the same shape.
    """
    sides = images.shape[2:]
    cell = torch.zeros((), dtype=torch.long, device=images.device)
    for axis, side in enumerate(sides):
        along = (torch.arange(side, device=images.device) + starts[:, axis, None]) // sizes[:, axis, None]
        shape = (len(images), *(side if axis == other else 1 for other in range(len(sides))))
        cell = cell * (side + 1) + along.reshape(shape)
    cell = cell.flatten(1)
    most = 1
    for side in sides:
        most *= side + 1
    chosen = torch.rand(len(images), most, generator=generator, device=images.device).gather(1, cell) < fraction
    place = torch.arange(cell.shape[1], device=images.device) / cell.shape[1]
    key = torch.where(chosen, torch.rand(cell.shape, generator=generator, device=images.device), place)
    # Both lists go through the cells in the same order: from where voxels come, and where they go.
    source = (cell + key.double()).argsort(1)
    target = (cell + place.double()).argsort(1)
    index = source.gather(1, target.argsort(1))[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).reshape(images.shape)


def shuffle_locally(
    images: Tensor, probability: float, fraction: float, generator: torch.Generator | None = None
) -> Tensor:
    """Shuffle voxels of some images within small cells, of up to a tenth of the image's sides, but at least 2 voxels.

    The authors shuffle 10 000 random windows of each image, one after the other.

    Args:
        images: `(B, C, *spatial)`.
        probability: Probability that an image is changed.
        fraction: Fraction of an image's cells that are shuffled.
        generator: Random number generator on the images' device; `None` uses the global one.

    Returns:
        Images of the same shape.
    """
    sides = images.shape[2:]
    uniform = torch.rand(2, len(images), len(sides), generator=generator, device=images.device)
    sizes = torch.stack([1 + uniform[0, :, axis] * max(2, side // 10) for axis, side in enumerate(sides)], dim=1).long()
    starts = (uniform[1] * sizes).long()
    shuffled = shuffle_cells(images, sizes, starts, fraction, generator)
    return torch.where(happens(probability, images, generator), shuffled, images)


def random_boxes(
    images: Tensor, smallest: Sequence[int], largest: Sequence[int], generator: torch.Generator | None = None
) -> Tensor:
    """Mark up to five boxes in every image, of random sizes at random places.

    Args:
        images: `(B, C, *spatial)`; only the shape is used.
        smallest: Smallest sides of a box in voxels.
        largest: Largest sides of a box in voxels.
        generator: Random number generator on the images' device; `None` uses the global one.

    Returns:
        True inside a box, `(B, 1, *spatial)`.
    """
    sides, device = images.shape[2:], images.device
    uniform = torch.rand(2 * len(sides) + 1, len(images), BOXES, generator=generator, device=device)
    more = torch.cat((torch.ones_like(uniform[0, :, :1]), (uniform[0, :, 1:] < ANOTHER_BOX).float()), dim=1).cumprod(1)
    inside = more > 0
    inside = inside.reshape(*inside.shape, *(1,) * len(sides))
    for axis, side in enumerate(sides):
        size = (smallest[axis] + uniform[2 * axis + 1] * (largest[axis] - smallest[axis] + 1)).long()
        margin = ((side - size) // 2).clamp(max=MARGIN)
        first = margin + (uniform[2 * axis + 2] * (side - size - 2 * margin + 1)).long()
        place = torch.arange(side, device=device)
        within = (place >= first[..., None]) & (place < (first + size)[..., None])
        inside = inside & within.reshape(
            *within.shape[:2], *(side if axis == other else 1 for other in range(len(sides)))
        )
    return inside.any(1)[:, None]


def paint(images: Tensor, probability: float, inner: float, generator: torch.Generator | None = None) -> Tensor:
    """Replace boxes of some images by noise (in-painting), or all but boxes (out-painting).

    Args:
        images: `(B, C, *spatial)`, intensities in [0, 1].
        probability: Probability that an image is changed.
        inner: Probability of in-painting; otherwise the outside of the boxes is replaced.
        generator: Random number generator on the images' device; `None` uses the global one.

    Returns:
        Images of the same shape.
    """
    sides = images.shape[2:]
    holes = random_boxes(
        images, [max(1, side // 6) for side in sides], [max(1, side // 3) for side in sides], generator
    )
    kept = random_boxes(
        images, [side - 4 * side // 7 for side in sides], [side - 3 * side // 7 for side in sides], generator
    )
    hidden = torch.where(happens(inner, images, generator), holes, ~kept) & happens(probability, images, generator)
    noise = torch.rand(len(images), 1, *sides, generator=generator, device=images.device)  # in all channels alike
    return torch.where(hidden, noise, images)


def happens(probability: float, images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Decide for each image of `(B, C, *spatial)` whether something happens: `(B, 1, …)`, to be broadcast."""
    chance = torch.rand(len(images), generator=generator, device=images.device)
    return (chance < probability).reshape(-1, *(1,) * (images.ndim - 1))
