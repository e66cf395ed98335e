"""Generates synthetic brain MRI: folds, ventricles and nuclei in their places, and a glioma with its edema.

As in BraTS, images are skull-stripped, 0 outside the brain, in one orientation, and have four channels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sslmed.phantoms.head import Head, Shape, Tissue
from sslmed.phantoms.shapes import Ellipsoid, Floats, Tube, smooth_field

EDEMA_LABEL, CORE_LABEL, RIM_LABEL = 1, 2, 3

FIELD_OF_VIEW = np.array([192.0, 192.0, 144.0])  # mm
BLUR = 0.5  # voxels, standard deviation of the scanner's point spread
STEM = Tube([(0, -14, -16), (0, -22, -40), (0, -29, -55)], [15, 14, 9])
SULCUS = 13.0  # mm, depth
CORTEX = 3.5  # mm, thickness

IRREGULARITY = 4.0  # mm, standard deviation of the core's surface
RIM_VARIATION = 0.6  # of the rim's thickness, relative: where it is below 0, the rim has a gap
EDEMA_VARIATION = 0.3  # of the edema's reach, relative
MASS_EFFECT = 0.3  # of the distance to the core's centre, by which the brain around it is pushed away


def draw_head(
    head: Head, size: tuple[int, int, int], rng: Generator
) -> tuple[NDArray[np.int16], NDArray[np.uint8], Floats]:
    """Generate the scan of a head.

    Args:
        head: The head.
        size: Voxels of the volume; the field of view is always the same.
        rng: Random number generator for the noise.

    Returns:
        Image `(*size, 4)`, labels `(*size)` and the affine `(4, 4)`, from voxel indices to mm.
    """
    affine = np.diag([*(FIELD_OF_VIEW / size * (-1, -1, 1)), 1])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(size) - 1) / 2)
    indices = np.indices(size, dtype=np.float32)
    points = (np.diag(affine)[:3] / head.scale).reshape(3, 1, 1, 1) * indices
    points += (affine[:3, 3] / head.scale).reshape(3, 1, 1, 1)
    points = points.astype(np.float32) + smooth_field(head.warp, size)

    tissues = _draw_brain(head, points, size)
    labels = np.zeros(size, dtype=np.uint8)
    image = head.brightness[tissues].astype(np.float32)  # (*size, 4)
    _draw_glioma(head, points, tissues, image, labels)
    image *= np.moveaxis(np.exp(smooth_field(head.texture, size)), 0, -1)
    image = gaussian_filter(image, (BLUR, BLUR, BLUR, 0)) * np.moveaxis(np.exp(smooth_field(head.bias, size)), 0, -1)
    real, imaginary = rng.normal(0, head.noise, (2, *image.shape))
    image = np.hypot(image + real, imaginary) * head.gain  # a magnitude, as MRI gives it
    voxels = np.where(tissues[..., None] == Tissue.OUTSIDE, 0, np.rint(image).clip(1, 32767)).astype(np.int16)
    return voxels, labels, affine


def _draw_brain(head: Head, points: Floats, size: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return which tissue is where, but for the glioma, which pushes everything aside within the skull."""
    inside = _depths(points).max(axis=0)  # mm from the surface of the brain without its folds
    offset = points - np.reshape(head.glioma.core.centre, (3, 1, 1, 1)).astype(np.float32)
    near = np.exp(-0.5 * (offset**2).sum(axis=0) / (1.3 * head.glioma.radius) ** 2)
    points = points - MASS_EFFECT * near * offset

    depth = np.minimum(_distance_from_fluid(points, smooth_field(head.folds, size)), inside)
    tissues = np.select([depth < 0, depth < CORTEX], [Tissue.FLUID, Tissue.GREY], Tissue.WHITE).astype(np.uint8)
    layers: list[tuple[Sequence[Shape], Tissue, Tissue | None]] = [
        ([STEM], Tissue.WHITE, None),
        (head.white_spots, Tissue.WHITE_SPOT, Tissue.WHITE),
        (head.nuclei, Tissue.NUCLEUS, None),
        (head.ventricles, Tissue.FLUID, None),
        (head.plexus, Tissue.PLEXUS, Tissue.FLUID),
        (head.vessels, Tissue.VESSEL, None),
    ]
    for shapes, tissue, within in layers:  # the later over the earlier
        for shape in shapes:
            where = shape.level(points) < 1
            tissues[where if within is None else where & (tissues == within)] = tissue
    tissues[inside < 0] = Tissue.OUTSIDE
    return tissues


def _depths(points: Floats) -> Floats:
    """Return mm within the cerebrum, each temporal lobe, the cerebellum and the stem, `(5, *spatial)`."""
    x, y, z = points
    flat = np.stack([x, y, np.where(z < 0, 1.5 * z, z)])  # the brain rests on the skull base
    return np.stack(
        [
            65 * (1 - Ellipsoid((0, 0, 0), (67, 84, 62)).level(flat)),
            *(24 * (1 - Ellipsoid((43 * side, 8, -28), (22, 40, 24)).level(points)) for side in (-1, 1)),
            26 * (1 - Ellipsoid((0, -50, -40), (50, 32, 24)).level(points)),
            12 * (1 - STEM.level(points)),
        ]
    )


def _distance_from_fluid(points: Floats, folds: Floats) -> Floats:
    """Return mm from the surface of the folded brain, below 0 in the fluid of sulci and fissures."""
    x, y, z = points
    depths = _depths(points)
    second, deepest = np.partition(depths, -2, axis=0)[-2:]
    is_cerebellum = depths.argmax(axis=0) == 3
    slope = np.linalg.norm(np.gradient(folds, *(FIELD_OF_VIEW / folds.shape)), axis=0)  # per mm
    folia = np.abs(np.sin((z - 0.35 * y) / 2.2 + folds)) * 2.2
    sulci = np.where(is_cerebellum, folia, np.abs(folds) / slope) - 0.7 + np.maximum(0, deepest - SULCUS)
    fissures = deepest - second - 1 + np.maximum(0, deepest - 1.5 * SULCUS)  # between lobes, and above the cerebellum
    has_falx = (Ellipsoid((0, -4, 2), (np.inf, 48, 28)).level(points) > 1) & ~is_cerebellum & (z > -30)
    midline = np.where(has_falx, np.abs(x) - 1.2, np.inf)
    distance: Floats = np.minimum.reduce([deepest, sulci, fissures, midline])
    return distance


def _draw_glioma(
    head: Head, points: Floats, tissues: NDArray[np.uint8], image: Floats, labels: NDArray[np.uint8]
) -> None:
    """Paint the glioma into `image` and `labels`."""
    glioma, size = head.glioma, labels.shape
    surface, gaps, reach = smooth_field(glioma.fields, size)
    outside = glioma.radius * (glioma.core.level(points) - 1) + IRREGULARITY * surface  # mm from the core
    tissue = (tissues != Tissue.OUTSIDE) & (tissues != Tissue.FLUID)
    deep = tissue & ((tissues != Tissue.GREY) | (outside < 4))  # edema spreads in the white matter

    fade = (glioma.edema * np.exp(EDEMA_VARIATION * reach) - outside) / 8  # the border is blurred
    edema = np.where(deep, np.clip(0.5 + fade, 0, 1), 0)
    core = (tissues != Tissue.OUTSIDE) & (outside < 0)
    rim = core & (outside > -glioma.rim * (1 + RIM_VARIATION * gaps))
    image += edema[..., None] * (head.brightness[Tissue.EDEMA] - image)
    image[core] = head.brightness[Tissue.CORE]
    image[rim] = head.brightness[Tissue.RIM]
    labels[edema > 0.5] = EDEMA_LABEL
    labels[core] = CORE_LABEL
    labels[rim] = RIM_LABEL
