"""Renders soft round dots, the fine structures of a fundus phantom: vessels are rows of dots, lesions are clouds.

Dots are an array `(N, 4)`: x and y of the centre, standard deviation, and height of a Gaussian. Lengths are in radii of
the visible retina, from the fovea, x towards the nose and y downwards.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from sslmed.phantoms.shapes import Floats

Dots: TypeAlias = Floats

RATIO = 1.5  # of each rendered width to the next; dots are rounded to these widths
FINEST = 0.5  # pixels, standard deviation: the pixels' own


@dataclass(frozen=True)
class View:
    """Describes the position of the retina in an image.

    Args:
        size: Width and height of the image, pixels.
        centre: x and y of the fovea, pixels.
        radius: Radius of the retina, pixels.
        mirrored: Whether the nose is on the left, as in the photograph of a left eye.
    """

    size: tuple[int, int]
    centre: tuple[float, float]
    radius: float
    mirrored: bool

    def coordinates(self) -> tuple[Floats, Floats]:
        """Return x and y of all pixels' centres, float32 `(H, W)` each."""
        x, y = (np.arange(side) - centre for side, centre in zip(self.size, self.centre, strict=True))
        x, y = np.meshgrid(-x if self.mirrored else x, y)
        return (x / self.radius).astype(np.float32), (y / self.radius).astype(np.float32)

    def render(self, dots: Dots) -> Floats:
        """Return the sum of all dots, float32 `(H, W)`."""
        x, y, deviation, height = dots.T
        x = self.centre[0] + self.radius * (-x if self.mirrored else x)
        y = self.centre[1] + self.radius * y
        amount = height * 2 * np.pi * (self.radius * deviation) ** 2  # preserved if a dot is smaller than a pixel
        steps = np.rint(np.log(np.maximum(self.radius * deviation / FINEST, 1)) / np.log(RATIO))
        occurring = np.unique(steps)[::-1]
        widths = FINEST * RATIO**occurring
        image = np.zeros(self.size[::-1], dtype=np.float32)
        for step, width, next_width in zip(occurring, widths, np.append(widths, 0)[1:], strict=True):
            chosen = steps == step
            image += _deposit(x[chosen], y[chosen], amount[chosen], image.shape)
            image = gaussian_filter(
                image, np.sqrt(width**2 - next_width**2), mode="constant", truncate=3
            )  # the rest comes later
        return image


def _deposit(x: Floats, y: Floats, amount: Floats, shape: tuple[int, int]) -> Floats:
    """Distribute each amount over the four pixels around its position."""
    image = np.zeros(shape, dtype=np.float32)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for column, share_x in ((left, left + 1 - x), (left + 1, x - left)):
        for row, share_y in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
            np.add.at(image, (row[inside], column[inside]), (amount * share_x * share_y)[inside])
    return image


def dot(x: ArrayLike, y: ArrayLike, deviation: ArrayLike, height: ArrayLike) -> Dots:
    """Build dots `(N, 4)` from their columns, which are broadcast against each other."""
    return np.stack(np.broadcast_arrays(*np.atleast_1d(x, y, deviation, height)), axis=1).astype(float)


def line(points: Floats, deviation: ArrayLike, height: float, step: float) -> Dots:
    """Build dots along a curve that add up to a ridge.

    Args:
        points: `(N, 2)`.
        deviation: Half the line's width at each point.
        height: Height of the ridge.
        step: Distance between points, not much more than the deviation.
    """
    x, y = points.T
    return dot(x, y, deviation, height * step / (np.sqrt(2 * np.pi) * np.asarray(deviation)))


def join(parts: list[Dots]) -> Dots:
    """Concatenate dots to one array `(N, 4)`, which may be empty."""
    return np.concatenate([np.empty((0, 4)), *parts])
