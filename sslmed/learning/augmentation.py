"""Applies random affine maps and intensity changes to whole batches, on the batch's device, in 2-D and 3-D.

Each transform first samples its parameters (`sample`). A pure function then applies them. So an image and its label map
get the same transform, and the parameters can be tested.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.numbers import Amount, BelowOne, Fraction


@dataclass(frozen=True)
class RandomAffine:
    """Samples random flips, rotations and zooms about the centre of the image, composed into one affine map.

    Rotations and zooms are in voxel coordinates. On an anisotropic grid, use small angles.

    Source of the kinds and the published strengths: `preprocess_exemplar.py` of
    https://github.com/HealthML/self-supervised-3d-tasks.

    Args:
        flip: Probability of flipping an axis, for each axis.
        quarter_turns: Probability of a rotation by 0°, 90°, 180° or 270°, for each plane.
        rotation: Probability of a rotation by any angle up to `max_angle`, for each plane.
        max_angle: Largest angle of `rotation` in both directions, in degrees.
        zoom: Probability of scaling an image, each axis by its own factor.
        max_zoom: Largest deviation of these factors from 1.
    """

    flip: Fraction = 0.5
    quarter_turns: Fraction = 0.0
    rotation: Fraction = 0.0
    max_angle: Amount = 180.0
    zoom: Fraction = 0.0
    max_zoom: BelowOne = 0.2

    def sample(
        self, batch_size: int, spatial_dims: int, device: torch.device, generator: torch.Generator | None = None
    ) -> Tensor:
        """Sample one matrix for each image.

        Args:
            batch_size: Number of images, B.
            spatial_dims: 2 or 3.
            device: Device of the matrices.
            generator: Random number generator on `device`; `None` uses the global one.

        Returns:
            `(B, spatial_dims, spatial_dims)`, from output to input offsets from the centre, in voxels.
        """

        def happens(probability: float, *shape: int) -> Tensor:
            return torch.rand(batch_size, *shape, generator=generator, device=device) < probability

        def between(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(batch_size, *shape, generator=generator, device=device)

        flips = torch.where(happens(self.flip, spatial_dims), -1.0, 1.0)
        factors = torch.where(happens(self.zoom, 1), between(1 - self.max_zoom, 1 + self.max_zoom, spatial_dims), 1.0)
        matrix = torch.diag_embed(flips / factors)
        for plane in itertools.combinations(range(spatial_dims), 2):
            quarters = between(0, 4).floor() * math.pi / 2
            turn = torch.where(happens(self.quarter_turns), quarters, 0.0)
            tilt = torch.where(happens(self.rotation), between(-1, 1) * math.radians(self.max_angle), 0.0)
            with torch.autocast(device.type, enabled=False):  # it would round the product
                matrix = matrix @ _plane_rotation(turn + tilt, plane, spatial_dims)
        return matrix


@dataclass(frozen=True)
class RandomIntensity:
    """Samples random brightness and contrast, the same for all channels of an image.

    Source of the published strengths: `preprocess_exemplar.py` of https://github.com/HealthML/self-supervised-3d-tasks.

    Args:
        probability: Probability that an image is changed.
        brightness: Largest shift in both directions; intensities are in [0, 1].
        contrast: Smallest and largest factor of the differences from the image's mean.
    """

    probability: Fraction = 0.5
    brightness: Amount = 0.125
    contrast: tuple[Amount, Amount] = (0.5, 1.5)

    def sample(
        self, batch_size: int, device: torch.device, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sample a shift and a factor for each image.

        Args:
            batch_size: Number of images, B.
            device: Device of the result.
            generator: Random number generator on `device`; `None` uses the global one.

        Returns:
            Shifts `(B,)` and factors `(B,)`; 0 and 1 for an image that is not changed.
        """
        chance, shift, factor = torch.rand(3, batch_size, generator=generator, device=device)
        low, high = self.contrast
        changed = chance < self.probability
        return (
            torch.where(changed, (2 * shift - 1) * self.brightness, 0.0),
            torch.where(changed, low + (high - low) * factor, 1.0),
        )


def augment(images: Tensor, affine: RandomAffine | None, intensity: RandomIntensity | None) -> Tensor:
    """Transform a training batch at random, on its device.

    Args:
        images: `(B, C, *spatial)`, intensities in [0, 1].
        affine: Geometric augmentation, or `None`.
        intensity: Intensity augmentation, or `None`.

    Returns:
        Images of the same shape.
    """
    if affine is not None:
        images = apply_affine(images, affine.sample(len(images), images.ndim - 2, images.device))
    if intensity is not None:
        images = apply_intensity(images, *intensity.sample(len(images), images.device))
    return images


def apply_affine(images: Tensor, matrices: Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """Apply an affine map about the centre to each image. Voxels from outside the image are 0.

    Source of the sampling grid: Jaderberg et al. 2015, https://arxiv.org/abs/1506.02025.

    Args:
        images: `(B, C, *spatial)`, of any dtype; the sides may differ.
        matrices: `(B, d, d)`. Output voxel `p` is the input at `centre + matrix @ (p - centre)`.
        mode: `bilinear` (in 3-D: trilinear) for images, `nearest` for label maps.

    Returns:
        Images of the same shape and dtype.
    """
    # The coordinates of grid_sample are in [-1, 1] along every axis, the last axis first.
    shape, device = images.shape[2:], images.device
    sides = torch.stack([torch.full((), side, device=device) for side in shape])  # nothing is copied to the device
    normalised = (matrices * sides / sides[:, None]).flip(1)
    with torch.autocast(device.type, enabled=False):  # it would round the coordinates
        grid = torch.zeros((), device=device)
        for axis, side in enumerate(shape):  # a sum of small terms; only the last one has the size of the image
            centres = (2 * torch.arange(side, device=device) + 1) / side - 1
            term = centres[:, None] * normalised[:, None, :, axis]
            grid = grid + term.reshape(len(images), *(side if a == axis else 1 for a in range(len(shape))), len(shape))
        return F.grid_sample(images.float(), grid, mode=mode, align_corners=False).to(images.dtype)


def apply_intensity(images: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Scale the contrast of images about their means, shift their brightness, and clip to [0, 1].

    Args:
        images: `(B, C, *spatial)`, intensities in [0, 1].
        shift: Added to each image, `(B,)`.
        factor: Multiplies the differences from each image's mean, `(B,)`.

    Returns:
        Images of the same shape and dtype.
    """
    each = (-1, *(1,) * (images.ndim - 1))
    mean = images.flatten(1).mean(1, dtype=torch.float32)
    offset = mean * (1 - factor) + shift
    changed = images * factor.view(each)  # float32
    return changed.add_(offset.view(each)).clamp_(0, 1).to(images.dtype)


def _plane_rotation(angle: Tensor, plane: tuple[int, int], spatial_dims: int) -> Tensor:
    """Return rotation matrices `(B, d, d)` for angles `(B,)` in radians within a plane."""
    first, second = plane
    matrix = torch.eye(spatial_dims, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, first, first] = matrix[:, second, second] = angle.cos()
    matrix[:, first, second] = -angle.sin()
    matrix[:, second, first] = angle.sin()
    return matrix
