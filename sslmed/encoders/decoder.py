"""Defines the U-Net's decoder on any encoder, for segmentation and for pretext tasks that reconstruct.

Source: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; in 3-D Çiçek et al. 2016,
https://arxiv.org/abs/1606.06650.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from monai.networks.blocks.upsample import UpSample
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Amount, BelowOne, Fraction
from sslmed.encoders.base import Encoder
from sslmed.encoders.heads import Readout
from sslmed.learning.convolutions import correct_convolutions


class UNetDecoder(Readout):
    """Upsamples feature maps to the image: per level a transposed convolution, a skip connection and two convolutions.

    Each transposed convolution enlarges by the ratio of two reductions. If the finest map is coarser than the image,
    the outputs are interpolated to the size of the image; with a single map this is the only step. Sides that the
    reductions do not divide give upsampled maps that are a voxel too long or too short. They are cut at the end, or
    their last voxel is repeated, as in MONAI's `UpCat`.

    Sources: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; in 3-D Çiçek et al. 2016,
    https://arxiv.org/abs/1606.06650.

    Args:
        encoder: Defines dimensions, channels, reductions and the blocks. It is not stored.
        out_channels: Number of outputs per voxel.
        dropout: Fraction of activations dropped within each block.
        norm_momentum: Weight of the current batch in the running statistics.
        norm_eps: Added to the variance by normalisation.
        extra_pooling: First max-pool the coarsest map by 2 and enlarge it again by repeating voxels, as in the authors'
            fine-tuning. Their encoder ends with the pooling of the pretext heads (`get_prediction_model` in
            `utils/model_utils.py` of https://github.com/HealthML/self-supervised-3d-tasks). Fine detail is lost.

    Attributes:
        output: The last layer, the only one that depends on `out_channels`.

    Raises:
        InputError: If there is not one reduction per map, or one is not a whole multiple of the one before.
    """

    def __init__(
        self,
        encoder: Encoder,
        out_channels: int,
        *,
        dropout: BelowOne = 0.5,
        norm_momentum: Fraction = 0.1,
        norm_eps: Amount = 1e-5,
        extra_pooling: bool = False,
    ) -> None:
        super().__init__()
        dims, widths = encoder.spatial_dims, encoder.out_channels
        stride, *steps = _steps(encoder)
        levels = range(len(steps) - 1, -1, -1)  # coarse to fine
        self.ups = nn.ModuleList(
            UpSample(dims, widths[level + 1], widths[level], scale_factor=steps[level], mode="deconv")
            for level in levels
        )
        self.blocks = nn.ModuleList(
            encoder.decoder_block(level, dropout=dropout, norm_momentum=norm_momentum, norm_eps=norm_eps)
            for level in levels
        )
        self.extra_pool = Pool["MAX", dims](2, ceil_mode=True) if extra_pooling else None
        self.output = Conv["conv", dims](widths[0], out_channels, kernel_size=1)
        self.enlarge = (
            nn.Identity()
            if max(stride) == 1
            else UpSample(
                dims, out_channels, out_channels, scale_factor=stride, mode="nontrainable", align_corners=False
            )
        )
        self.stride = stride
        correct_convolutions(self)

    def forward(self, maps: Sequence[Tensor], sides: Sequence[int] | None = None) -> Tensor:
        """Compute the outputs for each voxel of the image, e.g. class scores.

        Args:
            maps: `(B, C_i, *spatial_i)` per level, finest first.
            sides: Sides of the images in voxels; by default those of the finest map times the first reduction.

        Returns:
            `(B, out_channels, *sides)`.
        """
        if len(maps) != len(self.ups) + 1:
            raise InputError(f"the encoder gives {len(maps)} feature maps, but declares {len(self.ups) + 1}")
        if sides is None:
            sides = [step * side for step, side in zip(self.stride, maps[0].shape[2:], strict=True)]
        x = maps[-1]
        if self.extra_pool is not None:
            x = F.interpolate(self.extra_pool(x), x.shape[2:], mode="nearest")
        for up, block, skip in zip(self.ups, self.blocks, maps[-2::-1], strict=True):
            x = block(torch.cat((skip, _fit(up(x), skip.shape[2:])), dim=1))
        return _fit(self.enlarge(self.output(x)), sides)


def _steps(encoder: Encoder) -> list[tuple[int, ...]]:
    """Return by how much each map is coarser than the one before, the first than the image, along each axis."""
    reductions = encoder.axis_reductions
    pairs = [[*zip(*pair, strict=True)] for pair in pairwise(((1,) * encoder.spatial_dims, *reductions))]
    if len(reductions) != len(encoder.out_channels) or any(coarse % fine for pair in pairs for fine, coarse in pair):
        raise InputError(
            f"{type(encoder).__name__} has reductions {tuple(encoder.reductions)} for {len(encoder.out_channels)} "
            "feature maps: a decoder needs one for each map, finest first, each a whole multiple of the one before"
        )
    return [tuple(coarse // fine for fine, coarse in pair) for pair in pairs]


def _fit(x: Tensor, sides: Sequence[int]) -> Tensor:
    """Cut `(B, C, *spatial)` at its end to `sides`, or repeat its last voxels."""
    missing = [wanted - side for wanted, side in zip(sides, x.shape[2:], strict=True)]
    if not any(missing):
        return x
    padding = [amount for side in reversed(missing) for amount in (0, max(side, 0))]
    x = F.pad(x, padding, mode="replicate")
    for axis, side in enumerate(sides, start=2):
        x = x.narrow(axis, 0, side)
    return x
