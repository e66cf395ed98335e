"""Masked autoencoding: restore the hidden blocks of an image from the visible ones.

Source: He et al. 2022, https://arxiv.org/abs/2111.06377; with a convolutional U-Net in 3-D Wald et al. 2024,
https://arxiv.org/abs/2410.23132.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count
from sslmed.encoders import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.sparse import check_sparse, only_visible

Normalisation = Literal["image", "block"]
Targets = tuple[Tensor, Tensor, Tensor, Tensor]
"""Standardised images `(B, C, *spatial)`, which voxels are hidden `(B, 1, *spatial)`, mean and scale of the images."""

Inputs = Any
"""Images `(B, C, *spatial)`; with `sparse` a pair of them and of which voxels are hidden, `(B, 1, *spatial)`."""

SMALLEST_VARIANCE = 1e-6  # as published; blocks of air have none


def random_blocks(
    batch_size: int,
    sides: Sequence[int],
    block: int,
    ratio: float,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide a fixed fraction of each image's blocks at random.

    Args:
        batch_size: Number of images, B.
        sides: Sides of the images in voxels. If `block` does not divide them, the last blocks are cut off.
        block: Side of a block in voxels.
        ratio: Fraction of hidden blocks. It is rounded so that at least one block is hidden and one visible.
        device: Device of the result.
        generator: Random number generator on `device`; `None` uses the global one.

    Returns:
        True where hidden, `(B, 1, *sides)`.

    Raises:
        InputError: If an image is a single block.
    """
    cells = [-(-side // block) for side in sides]
    noise = torch.rand(batch_size, 1, *cells, generator=generator, device=device).flatten(1)
    if noise.shape[1] < 2:
        raise InputError(
            f"images of {tuple(sides)} voxels are a single block of {block}: nothing visible would be left; use larger "
            "images, smaller blocks, or an encoder with fewer levels"
        )
    n_hidden = min(max(round(ratio * noise.shape[1]), 1), noise.shape[1] - 1)
    hidden = noise.argsort(1).argsort(1) < n_hidden
    return enlarge(hidden.reshape(batch_size, 1, *cells), block, sides)


def enlarge(cells: Tensor, block: int, sides: Sequence[int]) -> Tensor:
    """Repeat each value of `(B, C, *cells)` over a block of voxels: `(B, C, *sides)`."""
    for axis, side in enumerate(sides, start=2):
        cells = cells.repeat_interleave(block, axis).narrow(axis, 0, side)
    return cells


def block_means(images: Tensor, block: int) -> Tensor:
    """Replace each voxel of `(B, C, *spatial)` by the mean of its block, channel by channel."""
    means = images
    for axis, side in enumerate(images.shape[2:], start=2):
        parts = torch.split(means, block, axis)  # the last one may be shorter
        means = torch.cat([part.mean(axis, keepdim=True) for part in parts], dim=axis)
        means = means.repeat_interleave(block, axis).narrow(axis, 0, side)
    return means


def standardise(images: Tensor, block: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Scale each channel of each image, or of each block of it, to mean 0 and variance 1.

    Source: for blocks He et al. 2022, https://arxiv.org/abs/2111.06377, section 3, "Reconstruction target"; for images
    Wald et al. 2024, https://arxiv.org/abs/2410.23132.

    Args:
        images: `(B, C, *spatial)`.
        block: Side of a block in voxels; `None` for the whole image.

    Returns:
        The scaled images, the means and the standard deviations, which all can be broadcast to `(B, C, *spatial)`.
    """

    def mean_of(values: Tensor) -> Tensor:
        spatial = tuple(range(2, values.ndim))
        return values.mean(spatial, keepdim=True) if block is None else block_means(values, block)

    images = images.float()
    mean = mean_of(images)
    scale = (mean_of((images - mean).square()) + SMALLEST_VARIANCE).sqrt()
    return (images - mean) / scale, mean, scale


def masked_error(outputs: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """Compute the mean squared error of hidden voxels.

    Source: He et al. 2022, https://arxiv.org/abs/2111.06377, section 3: the loss is on masked patches only.

    Args:
        outputs: `(B, C, *spatial)`.
        images: What the outputs should be, `(B, C, *spatial)`.
        hidden: `(B, 1, *spatial)`.

    Returns:
        The mean over hidden voxels and channels, `()`.
    """
    squares = (outputs.float() - images).square() * hidden
    return squares.sum() / (hidden.sum() * images.shape[1])


class MaskedAutoencoder(PretextTask[Targets]):
    """Restores hidden blocks of the image by a U-Net: the encoder, and a decoder that can be handed over, too.

    Hidden voxels are 0 in the input, like air in CT, and the loss is the mean squared error on them alone. A block is
    by default one voxel of the coarsest feature map, so that no feature is computed from half a block. Targets are
    standardised. The loss at chance level is that of the best constant for each channel, measured on the batch: about
    1 with `normalise: image`.

    Known shortcuts: air and other constant areas are restored from the nearest visible voxel. They cost nothing, and
    teach nothing: crop images to the body. Blocks of only 2 voxels can be interpolated: make `block` larger than one
    voxel of a shallow encoder's coarsest map.

    Sources: He et al. 2022, https://arxiv.org/abs/2111.06377; in 3-D with a convolutional U-Net, zeros for hidden
    voxels, and transfer of the decoder Wald et al. 2024, https://arxiv.org/abs/2410.23132; sparse
    Tian et al. 2023, https://arxiv.org/abs/2301.03580.

    Args:
        encoder: See `PretextTask`.
        ratio: Fraction of hidden blocks (published: 0.75; for CT and MRI 0.6 to 0.75).
        block: Side of a block in voxels; by default the encoder's reduction.
        sparse: Whether the encoder computes on visible voxels only, see `sslmed.pretext.sparse`. Hidden places of the
            feature maps then hold a learned vector for the decoder.
        skips: Whether the decoder sees the finer feature maps. Without, they are zeros, and the coarsest map must hold
            everything.
        normalise: Standardise the targets of the whole image, or of each block. The latter weights details more, also
            the noise of the background.
        optimization: See `PretextTask`.

    Raises:
        InputError: If an argument is out of range, or `sparse` is set and the encoder is not convolutional, or a block
            is not whole voxels of its coarsest map.
    """

    def __init__(
        self,
        encoder: Encoder,
        ratio: float = 0.75,
        block: Count | None = None,
        skips: bool = True,
        normalise: Normalisation = "image",
        sparse: bool = False,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        self.block = encoder.reduction if block is None else block
        if not 0 < ratio < 1:
            raise InputError(f"ratio must be above 0 and below 1, got {ratio}")
        if self.block < 1:
            raise InputError(f"block must be at least 1 voxel, got {block}")
        if normalise not in get_args(Normalisation):
            raise InputError(f"normalise must be one of {get_args(Normalisation)}, got {normalise!r}")
        self.ratio = ratio
        self.skips = skips
        self.normalise = normalise
        self.sparse = sparse
        if sparse:
            check_sparse(encoder)
            if self.block % encoder.reduction:
                raise InputError(f"sparse needs blocks of a multiple of {encoder.reduction} voxels, got {self.block}")
            # Tian et al. 2023, section 3.2; of the maps that the decoder sees
            seen = encoder.out_channels if skips else encoder.out_channels[-1:]
            self.hidden_features = nn.ParameterList(torch.zeros(channels) for channels in seen)
        self.decoder = UNetDecoder(encoder, encoder.in_channels, dropout=0.0)

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Inputs, Targets]:
        """Hide random blocks of every image, in all channels.

        Args:
            images: `(B, C, *spatial)`.
            generator: See `PretextTask.make_task`.

        Returns:
            Images with zeros where they are hidden, with `sparse` also where that is; and the targets.

        Raises:
            InputError: If an image is smaller than two blocks, or too small for the encoder, or with `sparse` is not
                made of whole blocks.
        """
        self.encoder.check(images)
        hidden = random_blocks(len(images), images.shape[2:], self.block, self.ratio, images.device, generator)
        standardised, mean, scale = standardise(images, self.block if self.normalise == "block" else None)
        inputs, targets = images.masked_fill(hidden, 0), (standardised, hidden, mean, scale)
        if not self.sparse:
            return inputs, targets
        if any(side % self.block for side in images.shape[2:]):
            raise InputError(
                f"sparse needs images of whole blocks of {self.block} voxels, got {tuple(images.shape[2:])}"
            )
        return (inputs, hidden), targets

    def encode(self, inputs: Inputs) -> list[Tensor]:
        """Compute the feature maps, see `PretextTask.encode`; with `sparse` of the visible voxels."""
        if not self.sparse:
            return super().encode(inputs)
        images, hidden = inputs
        with only_visible(self.encoder, ~hidden):
            maps = super().encode(images.masked_fill(hidden, 0))
        first = len(maps) - len(self.hidden_features)
        filled = [
            torch.where(F.interpolate(hidden.float(), each.shape[2:]).bool(), _as_map(vector, each), each)
            for vector, each in zip(self.hidden_features, maps[first:], strict=True)
        ]
        return maps[:first] + filled

    def forward(self, inputs: Inputs) -> Tensor:
        """Restore the standardised images `(B, C, *spatial)` from inputs `(B, C, *spatial)`."""
        maps = self.encode(inputs)
        if not self.skips:
            maps = [*map(torch.zeros_like, maps[:-1]), maps[-1]]
        sides = (inputs[0] if self.sparse else inputs).shape[2:]
        outputs: Tensor = self.decoder(maps, sides)
        return outputs

    def loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Compute the `masked_error` `()` of outputs `(B, C, *spatial)` to the standardised images."""
        standardised, hidden, *_ = targets
        return masked_error(outputs, standardised, hidden)

    def chance_answer(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Return the mean of the hidden voxels of all cases, for each channel: `(B, C, *spatial)`."""
        standardised, hidden, *_ = targets
        everywhere = (0, *range(2, standardised.ndim))
        means = (standardised * hidden).sum(everywhere, keepdim=True) / hidden.sum()
        return means.expand_as(outputs)

    def answers(self, outputs: Tensor, targets: Targets) -> list[Answer]:
        """Return each image with its hidden blocks as the network restores them."""
        standardised, hidden, mean, scale = targets
        restored = torch.where(hidden, outputs.float(), standardised) * scale + mean
        return [Answer("hidden blocks restored", image) for image in restored]


def _as_map(vector: Tensor, maps: Tensor) -> Tensor:
    return vector.to(maps.dtype).reshape(-1, *[1] * (maps.ndim - 2))
