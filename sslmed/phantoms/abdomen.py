"""Generates synthetic CT of the upper abdomen: organs in their places, a pancreas, and in most cases a tumour in it.

Coordinates are in mm towards the patient's right, front and head, from a point in front of the spine. Proportions are
those of an adult, but pancreas and tumour are about twice as thick. Together they are 6 % of the body in the field of
view on average (0.5 % would be natural), and the tumour is 30 % of that. So both survive a resize to 24 voxels a side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from sslmed.phantoms.shapes import Ellipsoid, Floats, Tube, smooth_field

# These values make the task hard. Everything else is the same for all patients, or irrelevant to the task.
ORGAN_SHIFT = 6.0  # mm, standard deviation of each organ's place
PANCREAS_SHIFT = 7.0  # mm, of the pancreas as a whole
PANCREAS_BEND = 6.0  # mm, of each of the points that its curve goes through
SIZE_VARIATION = 0.12  # relative standard deviation of every radius
WARP = 6.0  # mm, standard deviation of the smooth deformation of all organs
CONTRAST_VARIATION = 7.0  # HU, standard deviation of each organ's enhancement
TUMOUR_CONTRAST = (90.0, 120.0)  # HU below the pancreas, least and most
TUMOUR_RADIUS = (29.0, 39.0)  # mm, least and most
TUMOUR_SHARE = 0.8  # fraction of patients with a tumour
LOOPS = 7  # bowel loops that enhance like the pancreas, two of them beside it
NOISE = (8.0, 22.0)  # HU per voxel, least and most
TEXTURE = 8.0  # HU, standard deviation of smooth inhomogeneity

BLUR = 0.5  # voxels, standard deviation of the scanner's point spread

PANCREAS, TUMOUR = 1, 2
AIR, LUNG, GAS, FAT, FLUID, MUSCLE, DISC, MARROW, BONE = -1000, -850, -700, -100, 15, 58, 90, 210, 480
ARTERIAL = {"aorta": 290, "veins": 90, "liver": 70, "spleen": 135, "cortex": 200, "medulla": 90, "pancreas": 118}
PORTAL = {"aorta": 165, "veins": 165, "liver": 118, "spleen": 122, "cortex": 185, "medulla": 165, "pancreas": 92}

HALF_BODY = (165.0, 115.0)  # mm from the centre to the skin
HALF_LENGTH = 100.0  # mm, of the body in the field of view
WALL = 0.8  # level at which the wall of a hollow organ begins


@dataclass(frozen=True)
class Organ:
    """Describes an organ: its shape, its HU, and the HU of its lumen if it has one."""

    shape: Ellipsoid | Tube
    hu: float
    lumen: float | None = None


@dataclass(frozen=True)
class Patient:
    """Describes a synthetic patient, independent of the resolution.

    Args:
        scale: `(3,)`, size of the body along each axis, typically 1.
        warp: `(3, n, n, n)` mm, a smooth deformation of everything.
        texture: `(n, n, n)` HU, smooth inhomogeneity.
        fat: mm between skin and muscle.
        rib_phase: Position of the first rib, as a fraction of the distance between two ribs.
        organs: Organs in the abdominal cavity; later ones are painted over earlier ones.
        pancreas: Its shape and HU.
        tumour: Its shape and HU, or `None`.
        noise: HU, standard deviation per voxel.
    """

    scale: Floats
    warp: Floats
    texture: Floats
    fat: float
    rib_phase: float
    organs: list[Organ]
    pancreas: Organ
    tumour: Organ | None
    noise: float


def sample_patient(rng: Generator) -> Patient:
    """Sample a patient from the population."""
    phase = rng.beta(0.7, 0.7)  # most scans are taken in one phase or the other
    hu = {name: rng.normal((1 - phase) * ARTERIAL[name] + phase * PORTAL[name], CONTRAST_VARIATION) for name in PORTAL}
    pancreas = _sample_pancreas(rng)
    return Patient(
        scale=np.exp(rng.normal(0, 0.06, 3)),
        warp=rng.normal(0, WARP, (3, 5, 5, 5)),
        texture=rng.normal(0, TEXTURE, (14, 14, 14)),
        fat=rng.uniform(8, 26),
        rib_phase=rng.uniform(),
        organs=[*_sample_solid_organs(rng, hu), *_sample_bowel(rng, hu["pancreas"])],
        pancreas=Organ(pancreas, hu["pancreas"]),
        tumour=_sample_tumour(rng, pancreas, hu["pancreas"]) if rng.uniform() < TUMOUR_SHARE else None,
        noise=rng.uniform(*NOISE),
    )


def _sample_pancreas(rng: Generator) -> Tube:
    through = np.array([(36, 4, -46), (44, 10, -16), (14, 32, 0), (-26, 28, 12), (-62, 8, 22), (-94, -14, 32)])
    through = through + rng.normal(0, PANCREAS_SHIFT, 3) + rng.normal(0, PANCREAS_BEND, through.shape)
    radii = np.array([20, 31, 24, 27, 26, 18]) * np.exp(rng.normal(0, SIZE_VARIATION, 6) + rng.normal(0, 0.08))
    return Tube(through, radii)


def _sample_tumour(rng: Generator, pancreas: Tube, hu: float) -> Organ:
    centre, radius = pancreas.at(rng.uniform(0.15, 0.85))
    centre = centre + rng.normal(0, 0.25 * radius, 3)
    radii = rng.uniform(*TUMOUR_RADIUS) * np.exp(rng.normal(0, SIZE_VARIATION, 3))
    return Organ(Ellipsoid(centre, radii), hu - rng.uniform(*TUMOUR_CONTRAST))


def _sample_solid_organs(rng: Generator, hu: dict[str, float]) -> list[Organ]:
    def ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...]) -> Ellipsoid:
        sizes = np.array(radii) * np.exp(rng.normal(0, SIZE_VARIATION, 3))
        return Ellipsoid(centre + rng.normal(0, ORGAN_SHIFT, 3), sizes)

    def vessel(x: float, y: float, radius: float) -> Tube:
        through = np.array([(x, y, z) for z in (-130, -45, 45, 130)]) + rng.normal(0, 4, (4, 3))
        return Tube(through, np.full(4, radius * np.exp(rng.normal(0, SIZE_VARIATION))))

    return [
        *(Organ(ellipsoid((x, -5, 135), (72, 85, 70)), LUNG) for x in (-78, 78)),
        *(Organ(ellipsoid((x, -52, -75), (18, 18, 80)), MUSCLE) for x in (-42, 42)),  # psoas
        Organ(ellipsoid((98, 0, 45), (58, 82, 82)), hu["liver"]),
        Organ(ellipsoid((15, 55, 62), (75, 42, 45)), hu["liver"]),
        Organ(ellipsoid((48, 55, -5), (16, 18, 24)), FLUID),  # gall bladder
        Organ(ellipsoid((-112, -32, 50), (30, 48, 48)), hu["spleen"]),
        *(Organ(ellipsoid((x, -48, -35), (28, 26, 52)), hu["cortex"], hu["medulla"]) for x in (-72, 74)),
        Organ(vessel(-10, -30, 11), hu["aorta"]),
        Organ(vessel(20, -30, 12), hu["veins"]),
    ]


def _sample_bowel(rng: Generator, hu: float) -> list[Organ]:
    """Stomach, duodenum and loops: as bright as the pancreas, beside it, of another shape."""

    def bowel(through: ArrayLike, radius: ArrayLike, lumen: float | None) -> Organ:
        nodes = np.array(through) + rng.normal(0, ORGAN_SHIFT, 3) + rng.normal(0, 6, np.shape(through))
        radii = np.broadcast_to(radius, len(nodes)) * np.exp(rng.normal(0, SIZE_VARIATION, len(nodes)))
        return Organ(Tube(nodes, radii), hu + rng.normal(0, 5), lumen)

    def loop() -> Organ:
        start = rng.uniform((-105, 5, -110), (95, 70, -45))
        return bowel(
            start + rng.normal(0, 26, (4, 3)),
            rng.uniform(11, 18),
            rng.choice(contents) if rng.uniform() < 0.4 else None,
        )

    contents = [MUSCLE, 220, 220, GAS]
    stomach = [(-72, 5, 82), (-78, 38, 52), (-58, 60, 22), (-12, 66, 2), (34, 50, 0)]
    colon = [(112, 20, -80), (70, 72, -62), (0, 84, -72), (-75, 70, -50), (-118, 10, -30)]
    duodenum = [(36, 42, 2), (68, 24, -4), (78, 8, -32), (58, -4, -62), (10, -6, -64), (-30, 2, -52)]
    jejunum = [(-30, 22, -38), (-70, 34, -22), (-106, 18, -8), (-98, -6, -28), (-66, 2, -48)]
    return [
        bowel(colon, 20, rng.choice([GAS, MUSCLE])),
        *(loop() for _ in range(LOOPS - 2)),
        bowel(stomach, [30, 38, 34, 26, 17], rng.choice(contents)),
        bowel(duodenum, 14, None),
        bowel(jejunum, 15, None),
    ]


def draw_patient(
    patient: Patient, size: tuple[int, int, int], rng: Generator
) -> tuple[NDArray[np.int16], NDArray[np.uint8], Floats]:
    """Generate the scan of a patient.

    Args:
        patient: The patient.
        size: Voxels of the volume; the field of view is always that of the body.
        rng: Random number generator for the patient's position and the noise.

    Returns:
        HU `(*size)`, labels `(*size)` and the affine `(4, 4)`, from voxel indices to mm.
    """
    affine = _sample_affine(rng, size, patient.scale)
    indices = np.indices(size, dtype=np.float32)
    points = np.tensordot(affine[:3, :3].astype(np.float32), indices, 1) + affine[:3, 3].reshape(3, 1, 1, 1)
    points /= patient.scale.reshape(3, 1, 1, 1)
    points = points.astype(np.float32)

    hu: Floats = np.full(size, AIR, dtype=np.float32)
    cavity = _paint_body(hu, points, patient)
    points += smooth_field(patient.warp, size)
    for organ in patient.organs:
        _paint(hu, organ, points, cavity)
    labels = np.zeros(size, dtype=np.uint8)
    labels[_paint(hu, patient.pancreas, points, cavity) < 1] = PANCREAS
    if patient.tumour is not None:
        level = patient.tumour.shape.level(points)
        blend = np.clip((1.2 - level) / 0.4, 0, 1) * cavity  # the border is blurred
        hu += blend * (patient.tumour.hu - hu)
        labels[(level < 1) & cavity] = TUMOUR
    hu += smooth_field(patient.texture, size) * (hu > FLUID - 50)
    hu = gaussian_filter(hu, BLUR) + rng.normal(0, patient.noise, size)
    return np.rint(hu.clip(-1024, 3071)).astype(np.int16), labels, affine


def _sample_affine(rng: Generator, size: tuple[int, int, int], scale: Floats) -> Floats:
    """Sample the field of view around the body: axes in either direction, oblique in a quarter of the patients."""
    side = 2 * HALF_BODY[0] * scale[:2].max() * rng.uniform(1.06, 1.2)
    spacing = np.array([side, side, 2 * HALF_LENGTH * scale[2]]) / size
    tilt = rng.normal(0, np.deg2rad(6), 3) if rng.uniform() < 0.25 else np.zeros(3)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(tilt).as_matrix() @ np.diag(spacing * rng.choice([-1, 1], 3))
    middle = (np.array(size) - 1) / 2
    affine[:3, 3] = rng.normal(0, (5, 5, 8)) - affine[:3, :3] @ middle
    return affine


def _paint(hu: Floats, organ: Organ, points: Floats, cavity: NDArray[np.bool_]) -> Floats:
    """Paint an organ into `hu`, and return its level, infinite outside the cavity."""
    level = np.where(cavity, organ.shape.level(points), np.inf)
    hu[level < 1] = organ.hu
    if organ.lumen is not None:
        hu[level < WALL] = organ.lumen
    return level


def _paint_body(hu: Floats, points: Floats, patient: Patient) -> NDArray[np.bool_]:
    """Paint skin, fat, muscle and bones into `hu`, and return where the abdominal cavity is."""

    def column(y: float, x_radius: float, y_radius: float, x: float = 0) -> Floats:
        return Ellipsoid((x, y, 0), (x_radius, y_radius, np.inf)).level(points)

    _, y, z = points
    width, depth = HALF_BODY
    fat = patient.fat
    muscle = column(-3, width - fat, depth - fat)
    cavity = column(4, width - fat - 14, depth - fat - 16)
    hu[column(0, width, depth) < 1] = FAT
    hu[muscle < 1] = MUSCLE
    hu[cavity < 1] = FAT
    rib = ((z + 0.4 * y) / 34 + patient.rib_phase) % 1 < 0.35
    hu[(muscle < 0.97) & (cavity > 1) & rib & (z > -50) & (y > -75) & (y < 70)] = BONE

    for x in (-40, 40):
        hu[(column(-84, 34, 24, x) < 1) & (muscle < 1)] = MUSCLE  # along the spine
    vertebra = column(-60, 25, 19)
    disc = (z / 32 + patient.rib_phase) % 1 < 0.22
    arch = column(-86, 16, 14)
    spine = (vertebra < 1) | (arch < 1)
    hu[vertebra < 1] = np.where(disc, DISC, np.where(vertebra > 0.85, BONE, MARROW))[vertebra < 1]
    hu[arch < 1] = BONE
    hu[(column(-104, 5, 14) < 1) & ~disc] = BONE  # spinous processes
    hu[column(-86, 9, 8) < 1] = FLUID  # spinal canal
    return (cavity < 1) & ~spine
