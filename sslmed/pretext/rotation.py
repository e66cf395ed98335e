"""Rotation prediction: predict by which multiple of 90° about which axis an image was rotated.

Sources: in 2-D Gidaris et al. 2018, https://arxiv.org/abs/1803.07728; in 3-D Taleb et al. 2020, section 3,
https://arxiv.org/abs/2006.03829.
"""

import torch
from torch import Tensor

from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.augmentation import RandomAffine, apply_affine
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import ClassificationTask

ROTATIONS = (
    *((turns, (0, 1)) for turns in (0, 1, 2, 3)),
    *((turns, (1, 2)) for turns in (3, 2, 1)),
    *((turns, (0, 2)) for turns in (3, 2, 1)),
)
"""Quarter turns and plane of each class, in the order of the authors' code. 2-D uses the first four."""

NUM_CLASSES = {2: 4, 3: 10}
"""Number of classes by the number of spatial dimensions."""


def sources(spatial_dims: int) -> Tensor:
    """Compute for each class which voxel of the image goes where.

    Args:
        spatial_dims: 2 or 3.

    Returns:
        Tables `(classes, spatial_dims + 1, spatial_dims)`. The voxel at `p` of a rotated image of side `S` is the voxel
        of the image at `p @ table[:-1] + (S - 1) * table[-1]`.
    """
    corners = torch.stack(torch.meshgrid(*[torch.arange(2)] * spatial_dims, indexing="ij"), dim=-1)  # of side 2
    tables = []
    for turns, plane in ROTATIONS[: NUM_CLASSES[spatial_dims]]:
        turned = torch.rot90(corners, turns, plane)
        first = turned[(0,) * spatial_dims]
        steps = [turned[tuple(int(axis == other) for other in range(spatial_dims))] for axis in range(spatial_dims)]
        tables.append(torch.stack([*(step - first for step in steps), first]))
    return torch.stack(tables)


def turn(images: Tensor, classes: Tensor, tables: Tensor) -> Tensor:
    """Rotate each image by its class, without interpolation.

    Args:
        images: `(B, C, *spatial)` with equal sides.
        classes: Class of each image, `(B,)`.
        tables: Output of `sources`.

    Returns:
        The rotated images, `(B, C, *spatial)`.
    """
    side, spatial_dims = images.shape[-1], images.ndim - 2
    strides = side ** torch.arange(spatial_dims - 1, -1, -1, device=images.device)
    *steps, first = (tables[classes] * strides).sum(-1).unbind(1)  # in row-major voxel numbers
    index = (side - 1) * first.reshape(-1, *(1,) * spatial_dims)
    for axis, step in enumerate(steps):
        along = step[:, None] * torch.arange(side, device=images.device)
        index = index + along.reshape(-1, *(side if axis == other else 1 for other in range(spatial_dims)))
    index = index.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).reshape(images.shape)


class Rotation(ClassificationTask):
    """Predicts the rotation of an image: 10 classes in 3-D (none, and 90°, 180°, 270° about each axis), 4 in 2-D.

    If the sides of the images differ, as those of crops may, it is the cube in their middle that is rotated.

    Sources: in 2-D Gidaris et al. 2018, https://arxiv.org/abs/1803.07728; in 3-D Taleb et al. 2020, section 3,
    https://arxiv.org/abs/2006.03829.

    Args:
        encoder: See `PretextTask`.
        affine: Random zooms of the image before the rotation (published for photographs: by up to 15 %).
        head: Builds the classifier.
        optimization: See `PretextTask`.
    """

    tables: Tensor

    def __init__(
        self,
        encoder: Encoder,
        affine: RandomAffine | None = None,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, 1, NUM_CLASSES[encoder.spatial_dims], head, optimization)
        self.affine = affine
        self.register_buffer("tables", sources(encoder.spatial_dims), persistent=False)

    def class_name(self, index: int) -> str:
        """Name a rotation, as `90° about axis 3`; in 2-D, `90°`."""
        turns, plane = ROTATIONS[index]
        about = f" about axis {4 - sum(plane)}" if self.encoder.spatial_dims == 3 else ""
        return f"{90 * turns}°{about}" if turns else "no rotation"

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rotate every image by a random class.

        Args:
            images: `(B, C, *spatial)`.
            generator: See `PretextTask.make_task`.

        Returns:
            The rotated images `(B, C, *cube)`, with the shortest side of the images, and the classes `(B,)`.
        """
        sides = images.shape[2:]
        images = images[:, :, *(slice((side - min(sides)) // 2, (side + min(sides)) // 2) for side in sides)]
        targets = torch.randint(self.num_classes, (len(images),), generator=generator, device=images.device)
        if self.affine is not None:
            images = apply_affine(images, self.affine.sample(len(images), len(sides), images.device, generator))
        return turn(images, targets, self.tables.to(images.device)), targets
