"""Defines the shapes of phantoms, in mm, and smooth random fields.

A shape's `level` is below 1 inside, 1 on the surface, and increases outwards. So `level < 1` is the organ, and
`0.8 < level < 1` is its wall.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline, make_interp_spline

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Ellipsoid:
    """Describes an ellipsoid, or a cylinder if a radius is infinite.

    Args:
        centre: `(3,)` mm.
        radii: `(3,)` mm.
    """

    centre: ArrayLike
    radii: ArrayLike

    def level(self, points: Floats) -> Floats:
        """Return the level at `points` `(3, *spatial)`."""
        squares = (
            ((x - float(centre)) / float(radius)) ** 2
            for x, centre, radius in zip(points, np.asarray(self.centre), np.asarray(self.radii), strict=True)
            if np.isfinite(radius)
        )
        level: Floats = np.sqrt(sum(squares))
        return level


@dataclass(frozen=True)
class Tube:
    """Describes a tube of varying radius along a smooth curve.

    Args:
        through: `(N, 3)` mm, points on the curve, N >= 3.
        radii: `(N,)` mm, radius at each point.
    """

    through: ArrayLike
    radii: ArrayLike

    STEPS = 32  # balls that the tube is made of

    def at(self, positions: ArrayLike) -> tuple[Floats, Floats]:
        """Return centres `(M, 3)` and radii `(M,)` at positions in [0, 1] along the tube."""
        nodes = np.column_stack([np.asarray(self.through, dtype=float), np.asarray(self.radii, dtype=float)])
        curve = CubicSpline(np.linspace(0, 1, len(nodes)), nodes)(np.asarray(positions))
        return curve[..., :3], curve[..., 3]

    def level(self, points: Floats) -> Floats:
        """Return the level at `points` `(3, *spatial)`, infinite outside the box around the tube."""
        centres, radii = (array.astype(points.dtype) for array in self.at(np.linspace(0, 1, self.STEPS)))
        low, high = (centres - radii[:, None]).min(axis=0), (centres + radii[:, None]).max(axis=0)
        near = np.ones(points.shape[1:], dtype=bool)
        for x, lowest, highest in zip(points, low, high, strict=True):
            near &= (x > lowest) & (x < highest)
        x, y, z = points[:, near]
        nearest = np.full(x.shape, np.inf, dtype=points.dtype)
        for (cx, cy, cz), radius in zip(centres, radii, strict=True):
            np.minimum(nearest, ((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / radius**2, out=nearest)
        level = np.full(near.shape, np.inf, dtype=points.dtype)
        level[near] = np.sqrt(nearest)
        return level


def smooth_field(nodes: Floats, shape: tuple[int, ...]) -> Floats:
    """Interpolate values on a coarse grid to all voxels of a volume, by cubic splines.

    Args:
        nodes: `(*leading, n, n, ...)`, at least 4 nodes along each of the `len(shape)` last axes.
        shape: Shape of the volume.

    Returns:
        float32 `(*leading, *shape)`.
    """
    field = nodes
    for axis, side in enumerate(shape, start=nodes.ndim - len(shape)):
        spline = make_interp_spline(np.linspace(0, 1, field.shape[axis]), field, axis=axis)
        field = spline((np.arange(side) + 0.5) / side).astype(np.float32)
    return field
