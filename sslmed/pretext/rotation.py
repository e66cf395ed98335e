"""Rotation prediction: by which of a few right-angled rotations was the image turned?

https://arxiv.org/abs/2006.03829; in 2-D https://arxiv.org/abs/1803.07728.
"""

import numpy as np
import torch
from torch import Tensor

from sslmed.core.axes import copy_into
from sslmed.core.errors import InputError
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
"""Quarter turns and plane of each class, in the authors' order; the first four are those of a plane, for 2-D."""

NUM_CLASSES = {2: 4, 3: 10}
"""Number of classes by the number of spatial dimensions."""


def _rotate_into(target: Tensor, image: Tensor, rotation: int, spatial_dims: int) -> None:
    """Turn the last `spatial_dims` axes of an image by a class of `ROTATIONS`."""
    turns, (first, second) = ROTATIONS[rotation]
    axes = (first - spatial_dims, second - spatial_dims)
    if image.device.type == "cpu" and image.dtype != torch.bfloat16:  # which numpy does not know
        copy_into(target.numpy(), np.rot90(image.numpy(), turns, axes))
    else:
        target.copy_(torch.rot90(image, turns, axes))


class Rotation(ClassificationTask):
    """Predict the rotation: 10 classes in 3-D (none, and 90°, 180°, 270° about each axis), 4 in 2-D.

    Args:
        encoder: See `PretextTask`.
        affine: Random zooms of the image before it is turned (published for photographs, by up to 15 %).
        head: Builds the classifier.
        optimization: See `PretextTask`.
    """

    def __init__(
        self,
        encoder: Encoder,
        affine: RandomAffine | None = None,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, 1, NUM_CLASSES[encoder.spatial_dims], head, optimization)
        self.affine = affine

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Turn every image by a random class.

        Args:
            images: `(B, C, *spatial)` with equal sides.
            generator: See `PretextTask.make_task`.

        Returns:
            The turned images `(B, C, *spatial)` and the classes `(B,)`.

        Raises:
            InputError: If the sides differ: turned images would not fit into one batch.
        """
        sides = tuple(images.shape[2:])
        if len(set(sides)) > 1:
            msg = f"rotation needs images with equal sides, got {sides}: prepare them as a cube, or crop or pad them"
            raise InputError(msg)
        targets = torch.randint(self.num_classes, (len(images),), generator=generator, device=images.device)
        if self.affine is not None:
            images = apply_affine(images, self.affine.sample(len(images), len(sides), images.device, generator))
        turned = torch.empty_like(images)
        for image, target, rotation in zip(images, turned, targets.tolist(), strict=True):
            _rotate_into(target, image, rotation, len(sides))
        return turned, targets
