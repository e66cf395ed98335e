"""Random affine maps and intensity changes of whole batches, on the batch's device, in 2-D and 3-D.

Each transform draws first (`sample`) and then applies what was drawn (a pure function), so that an image and its label
map can be moved alike, and so that what was drawn can be tested.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class RandomAffine:
    """Random flips, rotations and zooms about the centre of the image, composed into one map.

    Rotations and zooms are of voxels: on an anisotropic grid, rotate by little.

    Args:
        flip: Probability that an axis is flipped, for each axis.
        quarter_turns: Probability of turning by 0°, 90°, 180° or 270°, for each plane.
        rotation: Probability of turning by any angle up to `max_angle`, for each plane.
        max_angle: Largest angle of `rotation` either way, in degrees.
        zoom: Probability of scaling each axis by a factor of its own.
        max_zoom: Largest deviation of these factors from 1.
    """

    flip: float = 0.5
    quarter_turns: float = 0.0
    rotation: float = 0.0
    max_angle: float = 180.0
    zoom: float = 0.0
    max_zoom: float = 0.2

    def sample(
        self, batch_size: int, spatial_dims: int, device: torch.device, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw `(B, spatial_dims, spatial_dims)` matrices, from output to input offsets from the centre, in voxels."""

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
    """Random brightness and contrast, of all channels of an image alike.

    Args:
        probability: How often an image is changed.
        brightness: Largest shift either way; intensities are in [0, 1].
        contrast: Smallest and largest factor of the differences from the image's mean.
    """

    probability: float = 0.5
    brightness: float = 0.125
    contrast: tuple[float, float] = (0.5, 1.5)

    def sample(
        self, batch_size: int, device: torch.device, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw a shift `(B,)` and a factor `(B,)` for each image; 0 and 1 where it is not changed."""
        chance, shift, factor = torch.rand(3, batch_size, generator=generator, device=device)
        low, high = self.contrast
        changed = chance < self.probability
        return (
            torch.where(changed, (2 * shift - 1) * self.brightness, 0.0),
            torch.where(changed, low + (high - low) * factor, 1.0),
        )


def augment(images: Tensor, affine: RandomAffine | None, intensity: RandomIntensity | None) -> Tensor:
    """Transform a training batch `(B, C, *spatial)` at random, on its device, by what is asked for."""
    if affine is not None:
        images = apply_affine(images, affine.sample(len(images), images.ndim - 2, images.device))
    if intensity is not None:
        images = apply_intensity(images, *intensity.sample(len(images), images.device))
    return images


def apply_affine(images: Tensor, matrices: Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """Move images about their centres; what comes from outside is 0.

    Args:
        images: `(B, C, *spatial)`, of any dtype; the sides may differ.
        matrices: `(B, d, d)`: output voxel `p` shows the input at `centre + matrix @ (p - centre)`.
        mode: `bilinear` (in 3-D: trilinear) for images, `nearest` for label maps.

    Returns:
        Images of the same shape and dtype.
    """
    # grid_sample's coordinates run from -1 to 1 along every axis, and name the last axis first.
    shape, device = images.shape[2:], images.device
    sides = torch.stack([torch.full((), side, device=device) for side in shape])  # nothing is copied to the device
    normalised = (matrices * sides / sides[:, None]).flip(1)
    with torch.autocast(device.type, enabled=False):  # it would round the coordinates
        grid = torch.zeros((), device=device)
        for axis, side in enumerate(shape):  # a sum of small terms, of which only the last is of the image's size
            centres = (2 * torch.arange(side, device=device) + 1) / side - 1
            term = centres[:, None] * normalised[:, None, :, axis]
            grid = grid + term.reshape(len(images), *(side if a == axis else 1 for a in range(len(shape))), len(shape))
        return F.grid_sample(images.float(), grid, mode=mode, align_corners=False).to(images.dtype)


def apply_intensity(images: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Scale images `(B, C, *spatial)` about their means by `factor` `(B,)`, add `shift` `(B,)`, and clip to [0, 1]."""
    each = (-1, *(1,) * (images.ndim - 1))
    mean = images.flatten(1).mean(1, dtype=torch.float32)
    offset = mean * (1 - factor) + shift
    changed = images * factor.view(each)  # float32
    return changed.add_(offset.view(each)).clamp_(0, 1).to(images.dtype)


def _plane_rotation(angle: Tensor, plane: tuple[int, int], spatial_dims: int) -> Tensor:
    """Rotation matrices `(B, d, d)` by angles `(B,)` in radians within a plane."""
    first, second = plane
    matrix = torch.eye(spatial_dims, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, first, first] = matrix[:, second, second] = angle.cos()
    matrix[:, first, second] = -angle.sin()
    matrix[:, second, first] = angle.sin()
    return matrix
