"""Reads images that torchio holds in memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torchio
from numpy.typing import NDArray

from sslmed.core.errors import UserError


def voxels_of(image: torchio.Image | torchio.Subject) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return `(C, I, J, K)` and the affine of an image, or of all images of a subject but the label maps.

    Raises:
        UserError: If a subject has no image, or images on different grids.
    """
    images: Sequence[torchio.Image] = [image] if isinstance(image, torchio.Image) else image.get_images()
    if not images:
        raise UserError("the torchio subject has no image but label maps")
    first = images[0]
    if any(each.spatial_shape != first.spatial_shape or not np.allclose(each.affine, first.affine) for each in images):
        raise UserError("the images of the torchio subject differ in shape or affine; resample them to one grid")
    return np.concatenate([np.asarray(each.data) for each in images]), np.asarray(first.affine)
