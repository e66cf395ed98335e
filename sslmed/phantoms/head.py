"""Samples synthetic heads with a glioma: the shape, place and brightness of all structures.

Coordinates are in mm towards the patient's right, front and head, from the middle of the brain. Proportions are those
of an adult, but the glioma is larger than natural: its core has a radius of 22 to 34 mm, and its enhancing rim is about
12 mm thick (3 to 8 mm would be natural). So all of it survives a resize to 24 voxels a side.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from sslmed.phantoms.shapes import Ellipsoid, Floats, Tube

# These values make the task hard. Everything else is the same for all heads, or irrelevant to the task.
CORE_RADIUS = (22.0, 34.0)  # mm, least and most
RIM = (10.0, 14.0)  # mm, least and most mean thickness
EDEMA = (8.0, 20.0)  # mm beyond the core, least and most
WHITE_SPOTS = 8  # in the white matter, on average: as bright as edema
ARTERIES = 9  # that take up contrast agent as the rim does
CONTRAST_VARIATION = 0.1  # relative standard deviation of each tissue's brightness in each channel
GLIOMA_VARIATION = 0.16  # the same, of the glioma's tissues
BIAS = 0.1  # relative standard deviation of the coil's smooth inhomogeneity
TEXTURE = 0.07  # relative standard deviation of smooth inhomogeneity within tissues
NOISE = (0.02, 0.06)  # of the brightest, least and most

WARP = 2.0  # mm, standard deviation of the smooth deformation of the whole brain

Shape: TypeAlias = Ellipsoid | Tube


class Tissue(IntEnum):
    """Tissue of a voxel."""

    OUTSIDE = 0
    FLUID = 1
    GREY = 2
    WHITE = 3
    NUCLEUS = 4
    WHITE_SPOT = 5
    VESSEL = 6
    PLEXUS = 7
    EDEMA = 8
    CORE = 9
    RIM = 10


# Brightness in FLAIR, T1w, T1w with contrast agent (gadolinium), and T2w.
BRIGHTNESS = {
    Tissue.OUTSIDE: (0.0, 0.0, 0.0, 0.0),
    Tissue.FLUID: (0.14, 0.16, 0.16, 1.0),
    Tissue.GREY: (0.60, 0.46, 0.48, 0.58),
    Tissue.WHITE: (0.46, 0.72, 0.74, 0.38),
    Tissue.NUCLEUS: (0.52, 0.60, 0.62, 0.44),
    Tissue.WHITE_SPOT: (0.86, 0.56, 0.58, 0.70),
    Tissue.VESSEL: (0.34, 0.42, 1.05, 0.25),
    Tissue.PLEXUS: (0.60, 0.45, 0.95, 0.62),
    Tissue.EDEMA: (0.90, 0.46, 0.48, 0.80),
    Tissue.CORE: (0.62, 0.32, 0.36, 0.86),
    Tissue.RIM: (0.78, 0.44, 0.96, 0.66),
}


@dataclass(frozen=True)
class Glioma:
    """Describes a tumour of core, rim and edema.

    Args:
        core: The core with its rim, before its surface is made irregular.
        radius: mm, mean of the core's radii.
        rim: mm, mean thickness.
        edema: mm, how far it reaches beyond the core.
        fields: `(3, n, n, n)`, standard normal: irregularity of the core's surface, of the rim, and of the edema.
    """

    core: Ellipsoid
    radius: float
    rim: float
    edema: float
    fields: Floats


@dataclass(frozen=True)
class Head:
    """Describes a synthetic head, independent of the resolution.

    Args:
        scale: `(3,)`, size of the brain along each axis, typically 1.
        warp: `(3, n, n, n)` mm, a smooth deformation of everything.
        folds: `(n, n, n)`; a sulcus is where it changes sign.
        ventricles: Filled with fluid.
        nuclei: Deep grey matter.
        plexus: In the ventricles, takes up contrast agent.
        white_spots: Small lesions of the white matter.
        vessels: Take up contrast agent.
        glioma: The tumour.
        brightness: `(tissues, 4)`, of each tissue in each channel.
        gain: `(4,)`, intensity of the brightest.
        bias: `(4, n, n, n)`, logarithm of the coil's inhomogeneity.
        texture: `(4, n, n, n)`, logarithm of the inhomogeneity within tissues.
        noise: Standard deviation per voxel, as a fraction of the brightest.
    """

    scale: Floats
    warp: Floats
    folds: Floats
    ventricles: list[Shape]
    nuclei: list[Shape]
    plexus: list[Shape]
    white_spots: list[Shape]
    vessels: list[Shape]
    glioma: Glioma
    brightness: Floats
    gain: Floats
    bias: Floats
    texture: Floats
    noise: float


def sample_head(rng: Generator) -> Head:
    """Sample a head from the population."""
    brightness = np.array([BRIGHTNESS[tissue] for tissue in Tissue])
    variation = [GLIOMA_VARIATION if tissue >= Tissue.EDEMA else CONTRAST_VARIATION for tissue in Tissue]
    return Head(
        scale=np.exp(rng.normal(0, 0.03, 3)),
        warp=rng.normal(0, WARP, (3, 5, 5, 5)),
        folds=rng.normal(0, 1, (19, 19, 15)),
        ventricles=_sample_ventricles(rng),
        nuclei=_sample_nuclei(rng),
        plexus=_sample_plexus(rng),
        white_spots=_sample_white_spots(rng),
        vessels=_sample_vessels(rng),
        glioma=_sample_glioma(rng),
        brightness=brightness * np.exp(rng.normal(0, variation, brightness.T.shape).T),
        gain=np.exp(rng.normal(np.log([400, 700, 800, 600]), 0.35)),
        bias=rng.normal(0, BIAS, (4, 4, 4, 4)),
        texture=rng.normal(0, TEXTURE, (4, 24, 24, 18)),
        noise=rng.uniform(*NOISE),
    )


def _sample_ventricles(rng: Generator) -> list[Shape]:
    dilation = np.exp(rng.normal(0, 0.25))  # they widen with age

    def lateral(side: int) -> list[Shape]:
        body = [(9, 34, 4), (10, 22, 12), (11, 0, 20), (17, -24, 18), (26, -40, 10), (24, -62, 4)]
        temporal_horn = [(26, -38, 8), (34, -26, -14), (34, -2, -22)]
        return [
            Tube((side, 1, 1) * np.array(body), dilation * np.array([3, 6.5, 6, 7, 8.5, 3])),
            Tube((side, 1, 1) * np.array(temporal_horn), dilation * np.array([6, 3.5, 3])),
        ]

    third = Ellipsoid((0, -6, -2), (2.2 * dilation, 14, 9))
    fourth = Ellipsoid((0, -38, -34), (7 * dilation, 5, 9))
    return [*lateral(-1), *lateral(1), third, fourth]


def _sample_nuclei(rng: Generator) -> list[Shape]:
    def nuclei(side: int) -> list[Shape]:
        thalamus, putamen = np.array([(12 * side, -14, 2), (27 * side, 4, 0)]) + rng.normal(0, 1, (2, 3))
        caudate = [(15, 26, 6), (17, 14, 16), (20, -8, 22), (26, -28, 18)]
        return [
            Ellipsoid(thalamus, (9, 15, 10)),
            Ellipsoid(putamen, (6, 17, 12)),
            Tube((side, 1, 1) * np.array(caudate), [6, 5, 4, 2.5]),
        ]

    return [*nuclei(-1), *nuclei(1)]


def _sample_plexus(rng: Generator) -> list[Shape]:
    centres = np.array([(-24, -36, 10), (24, -36, 10)]) + rng.normal(0, 2, (2, 3))
    return [Ellipsoid(centre, rng.uniform(4, 8, 3)) for centre in centres]


def _sample_white_spots(rng: Generator) -> list[Shape]:
    centres = rng.uniform((18, -60, 5), (40, 45, 38), (rng.poisson(WHITE_SPOTS), 3))
    centres[:, 0] *= rng.choice([-1, 1], len(centres))
    return [Ellipsoid(centre, rng.uniform(3, 10) * np.exp(rng.normal(0, 0.2, 3))) for centre in centres]


def _sample_vessels(rng: Generator) -> list[Shape]:
    def artery() -> Tube:
        outwards = rng.normal(0, 1, 3)
        outwards /= np.linalg.norm(outwards)
        through = np.linspace(0.62, 1, 4)[:, None] * outwards * (67, 84, 55) + rng.normal(0, 6, (4, 3))
        return Tube(through, [3, 3, 2.5, 2])

    angles = np.linspace(0.1, 1, 7) * np.pi
    sagittal_sinus = np.stack([np.zeros(7), 80 * np.cos(angles), 58 * np.sin(angles)], axis=1)
    return [Tube(sagittal_sinus, np.full(7, 3.5)), *(artery() for _ in range(ARTERIES))]


def _sample_glioma(rng: Generator) -> Glioma:
    radius = rng.uniform(*CORE_RADIUS)
    centre = rng.uniform((20, -48, -12), (40, 45, 30)) * (rng.choice([-1, 1]), 1, 1)
    core = Ellipsoid(centre, radius * np.exp(rng.normal(0, 0.15, 3)))
    return Glioma(core, radius, rng.uniform(*RIM), rng.uniform(*EDEMA), rng.normal(0, 1, (3, 9, 9, 7)))
