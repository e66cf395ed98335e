"""Models Genesis: restore an image whose intensities were changed, voxels shuffled, and parts replaced by noise.

Source: Zhou et al. 2021, https://arxiv.org/abs/2004.07882.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.errors import InputError
from sslmed.core.numbers import Fraction
from sslmed.encoders import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.distortions import change_intensities, paint, shuffle_locally

Targets = tuple[Tensor, Tensor]
"""Images and their distorted versions, `(B, C, *spatial)`."""

REACHED = 1 - 1 / math.e
"""Fraction of an image's voxels that are in at least one of the authors' random windows, one per voxel on average."""


class ModelsGenesis(PretextTask[Targets]):
    """Restores a distorted image by a U-Net: the encoder, and a decoder that can be handed over, too.

    The loss is the mean squared error of all voxels. The loss at chance level is that of the best constant for each
    channel, measured on the batch. A network that returns its input has learned nothing either: its loss is logged as
    `copy_loss`.

    Differences from the authors' code: voxels are shuffled in the cells of a grid instead of one random window after
    the other, images are not flipped, and the output has no sigmoid.

    Known shortcuts: voxels that were not distorted are copied; the outside of boxes in air is guessed to be air.

    Source: Zhou et al. 2021, https://arxiv.org/abs/2004.07882, section 3 and figure 2.

    Args:
        encoder: See `PretextTask`.
        nonlinear: Probability that intensities are changed.
        shuffle: Probability that voxels are shuffled locally.
        shuffled_fraction: Fraction of cells whose voxels are then shuffled.
        painting: Probability that parts are replaced by noise.
        inpainting: Probability that these are boxes; otherwise it is all but boxes.
        optimization: See `PretextTask`.

    Raises:
        InputError: If a probability or fraction is not in [0, 1].
    """

    def __init__(
        self,
        encoder: Encoder,
        nonlinear: Fraction = 0.9,
        shuffle: Fraction = 0.5,
        shuffled_fraction: Fraction = REACHED,
        painting: Fraction = 0.9,
        inpainting: Fraction = 0.2,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        self.nonlinear = nonlinear
        self.shuffle = shuffle
        self.shuffled_fraction = shuffled_fraction
        self.painting = painting
        self.inpainting = inpainting
        for name in ("nonlinear", "shuffle", "shuffled_fraction", "painting", "inpainting"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in 0 to 1, got {getattr(self, name)}")
        self.decoder = UNetDecoder(encoder, encoder.in_channels, dropout=0.0)

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Targets]:
        """Shuffle voxels, change intensities and paint over parts, each in some of the images.

        Args:
            images: `(B, C, *spatial)`, intensities in [0, 1].
            generator: See `PretextTask.make_task`.

        Returns:
            The distorted images `(B, C, *spatial)`, and the targets.

        Raises:
            InputError: If the images are too small for the encoder.
        """
        self.encoder.check(images)
        distorted = shuffle_locally(images.float(), self.shuffle, self.shuffled_fraction, generator)
        distorted = change_intensities(distorted, self.nonlinear, generator)
        distorted = paint(distorted, self.painting, self.inpainting, generator).to(images.dtype)
        return distorted, (images, distorted)

    def forward(self, inputs: Tensor) -> Tensor:
        """Restore the images `(B, C, *spatial)` from inputs `(B, C, *spatial)`."""
        outputs: Tensor = self.decoder(self.encode(inputs), inputs.shape[2:])
        return outputs

    def loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Compute the mean squared error `()` of outputs `(B, C, *spatial)`."""
        return F.mse_loss(outputs.float(), targets[0].float())

    def chance_answer(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Return the mean of all images for each channel, as `(B, C, *spatial)`."""
        images = targets[0].float()
        return images.mean((0, *range(2, images.ndim)), keepdim=True).expand_as(outputs)

    def measures(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the loss of a network that returns its input: `copy_loss`."""
        images, distorted = targets
        return {"copy_loss": self.loss(distorted, (images, distorted))}

    def answers(self, outputs: Tensor, targets: Targets) -> list[Answer]:
        """Return the restored images, with the errors before and after."""
        images, distorted = (each.float().flatten(1) for each in targets)
        before = (distorted - images).square().mean(1).tolist()
        after = (outputs.float().flatten(1) - images).square().mean(1).tolist()
        return [
            Answer(f"restored: error {error:.3f}, of the distorted image {first:.3f}", image)
            for first, error, image in zip(before, after, outputs.float(), strict=True)
        ]
