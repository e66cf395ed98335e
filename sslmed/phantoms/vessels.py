"""Samples the vessels of a retina: arteries and veins leave the optic disc, arch around the macula, and branch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from scipy.interpolate import make_interp_spline

from sslmed.phantoms.dots import Dots, line
from sslmed.phantoms.shapes import Floats

ARTERY, VEIN = 0.011, 0.015  # half the width at the disc, in radii of the retina
TEMPORAL = [(-0.10, 0.27), (-0.34, 0.50), (-0.72, 0.58), (-1.15, 0.50), (-1.60, 0.30)]  # from the disc, upper half
NASAL = [(0.09, 0.20), (0.22, 0.42), (0.36, 0.66), (0.45, 0.95)]
AVASCULAR = 0.14  # radius of the zone around the fovea without vessels
STEP = 0.01  # from dot to dot
BEAD = 9  # dots from one swelling to the next


class _Vessel(NamedTuple):
    points: Floats  # (N, 2)
    widths: Floats  # (N,)


def sample_vessels(rng: Generator, disc: tuple[float, float], beading: float) -> tuple[Dots, Dots]:
    """Sample the arteries and the veins of an eye.

    Args:
        rng: Random number generator.
        disc: Centre of the optic disc, in radii of the retina.
        beading: Relative amplitude of the veins' swellings.

    Returns:
        Dots of arteries and of veins, with a height of 1 where vessels are wide.
    """
    trees = []
    for width, offset, beads in ((ARTERY, -0.025, 0), (VEIN, 0.025, beading)):
        vessels = [
            vessel
            for nodes in (TEMPORAL, NASAL)
            for half in (-1, 1)
            for vessel in _tree(rng, _sample_trunk(rng, nodes, disc, half, width, offset), generations=2)
        ]
        points, widths = (np.concatenate(parts) for parts in zip(*vessels, strict=True))
        swollen = widths * (1 + beads * np.sin(2 * np.pi * np.arange(len(widths)) / BEAD))
        trees.append(line(points, 0.6 * swollen, height=1, step=STEP)[np.hypot(*points.T) > AVASCULAR])
    return trees[0], trees[1]


def _sample_trunk(
    rng: Generator, nodes: list[tuple[float, float]], disc: tuple[float, float], half: int, width: float, offset: float
) -> _Vessel:
    from_disc = np.array(nodes) * rng.normal(1, 0.07, 2) + rng.normal(0, 0.025, (len(nodes), 2))
    from_disc[:, 1] += offset
    through = disc + np.vstack([(0, 0), from_disc * (1, half)]) + rng.normal(0, 0.01, 2)
    length = np.concatenate([[0], np.hypot(*np.diff(through, axis=0).T).cumsum()])
    curve = make_interp_spline(length, through)(np.arange(0, length[-1], STEP))
    return _Vessel(curve, width * rng.uniform(0.85, 1.15) * np.linspace(1, 0.45, len(curve)))


def _tree(rng: Generator, trunk: _Vessel, generations: int) -> Iterator[_Vessel]:
    """Yield a vessel and those that branch off it."""
    yield trunk
    if generations == 0:
        return
    length = len(trunk.points)
    side = rng.choice([-1, 1])
    for place in np.linspace(0.15, 0.9, 1 + length // 35) + rng.normal(0, 0.03):
        at = min(max(int(place * length), 1), length - 2)
        side = -side
        along = trunk.points[at + 1] - trunk.points[at - 1]
        heading = np.arctan2(along[1], along[0]) + side * rng.uniform(0.5, 1.1)
        steps = int(rng.uniform(0.2, 0.36) * length)
        turn = np.cumsum(rng.normal(-side * 0.008, 0.05, steps))  # bends back to where the trunk goes
        directions = np.stack([np.cos(heading + turn), np.sin(heading + turn)], axis=1)
        points = trunk.points[at] + STEP * np.cumsum(directions, axis=0)
        branch = _Vessel(points, trunk.widths[at] * rng.uniform(0.55, 0.75) * np.linspace(1, 0.5, steps))
        yield from _tree(rng, branch, generations - 1)
