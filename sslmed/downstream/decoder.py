"""The expanding path of the U-Net, built on any encoder whose feature maps halve."""

import torch
from monai.networks.blocks.upsample import UpSample
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from sslmed.encoders import Encoder
from sslmed.encoders.unet import conv_block
from sslmed.errors import InputError


class UNetDecoder(nn.Module):
    """Transposed convolution, concatenation with the encoder's map, two convolutions: once per level.

    Args:
        encoder: Gives dimensions and channels; it is not kept.
        num_classes: Channels of the output.
        dropout: Share of activations dropped within each block.
        norm_momentum: Weight of the current batch in the running statistics.
    """

    def __init__(self, encoder: Encoder, num_classes: int, *, dropout: float = 0.5, norm_momentum: float = 0.1) -> None:
        super().__init__()
        dims, widths = encoder.spatial_dims, encoder.out_channels
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(
            UpSample(dims, coarse, fine, scale_factor=2, mode="deconv") for coarse, fine in coarse_to_fine
        )
        self.blocks = nn.ModuleList(
            conv_block(dims, 2 * fine, fine, dropout=dropout, norm_momentum=norm_momentum) for _, fine in coarse_to_fine
        )
        self.classify = Conv["conv", dims](widths[0], num_classes, kernel_size=1)
        self.factor = 2 ** len(coarse_to_fine)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Turn feature maps into class scores.

        Args:
            maps: `(B, C_i, *spatial_i)` per level, finest first.

        Returns:
            Logits `(B, num_classes, *spatial_0)`.

        Raises:
            InputError: If a side of the finest map is not a multiple of 2 to the number of poolings.
        """
        sides = tuple(maps[0].shape[2:])
        if any(side % self.factor for side in sides):
            msg = f"a U-Net with {len(self.ups)} poolings needs sides that {self.factor} divides, got {sides}"
            raise InputError(msg)
        x = maps[-1]
        for up, block, skip in zip(self.ups, self.blocks, maps[-2::-1], strict=True):
            x = block(torch.cat((skip, up(x)), dim=1))
        logits: Tensor = self.classify(x)
        return logits
