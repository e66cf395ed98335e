"""The expanding path of the U-Net, built on any encoder whose feature maps halve."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.blocks.upsample import UpSample
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.encoders import Encoder
from sslmed.encoders.unet import conv_block


class UNetDecoder(nn.Module):
    """Transposed convolution, concatenation with the encoder's map, two convolutions: once per level.

    Where the encoder's finest map is coarser than the image, the class scores are interpolated to the image's size.

    Args:
        encoder: Gives dimensions, channels and stride; it is not kept.
        num_classes: Channels of the output.
        dropout: Share of activations dropped within each block.
        norm_momentum: Weight of the current batch in the running statistics.
        norm_eps: What batch normalisation adds to the variance.
        extra_pooling: Max-pool the coarsest map by 2 first and enlarge it again, each voxel repeated, as the authors'
            fine-tuning does: their encoder ends with the pooling of the pretext heads (`get_prediction_model` in
            `utils/model_utils.py` of https://github.com/HealthML/self-supervised-3d-tasks). It costs detail.

    Attributes:
        factor: What the sides of images must be multiples of.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        dropout: float = 0.5,
        norm_momentum: float = 0.1,
        norm_eps: float = 1e-5,
        extra_pooling: bool = False,
    ) -> None:
        super().__init__()
        dims, widths = encoder.spatial_dims, encoder.out_channels
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(
            UpSample(dims, coarse, fine, scale_factor=2, mode="deconv") for coarse, fine in coarse_to_fine
        )
        self.blocks = nn.ModuleList(
            conv_block(dims, 2 * fine, fine, dropout=dropout, norm_momentum=norm_momentum, norm_eps=norm_eps)
            for _, fine in coarse_to_fine
        )
        self.extra_pool = Pool["MAX", dims](2, ceil_mode=True) if extra_pooling else None
        self.classify = Conv["conv", dims](widths[0], num_classes, kernel_size=1)
        self.enlarge = (
            nn.Identity()
            if encoder.stride == 1
            else UpSample(
                dims, num_classes, num_classes, scale_factor=encoder.stride, mode="nontrainable", align_corners=False
            )
        )
        self.stride = encoder.stride
        self.factor = encoder.reduction

    def forward(self, maps: list[Tensor], sides: Sequence[int] | None = None) -> Tensor:
        """Turn feature maps into class scores.

        Args:
            maps: `(B, C_i, *spatial_i)` per level, finest first.
            sides: Sides of the images; by default the finest map's times the encoder's stride.

        Returns:
            Logits `(B, num_classes, *sides)`.

        Raises:
            InputError: If a side of the images is not a multiple of `factor`.
        """
        sides = tuple(self.stride * side for side in maps[0].shape[2:]) if sides is None else tuple(sides)
        if any(side % self.factor for side in sides):
            halvings = self.factor.bit_length() - 1
            msg = f"a U-Net with {halvings} poolings needs sides that {self.factor} divides, got {sides}"
            raise InputError(msg)
        x = maps[-1]
        if self.extra_pool is not None:
            x = F.interpolate(self.extra_pool(x), x.shape[2:], mode="nearest")
        for up, block, skip in zip(self.ups, self.blocks, maps[-2::-1], strict=True):
            x = block(torch.cat((skip, up(x)), dim=1))
        logits: Tensor = self.enlarge(self.classify(x))
        return logits
