"""Defines the encoder (contracting path) of the U-Net, with the paper's widths in 3-D.

Sources: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; in 3-D Çiçek et al. 2016,
https://arxiv.org/abs/1606.06650; the widths Taleb et al. 2020, https://arxiv.org/abs/2006.03829.
"""

from collections.abc import Sequence

from monai.networks.layers.factories import Pool
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Amount, BelowOne, Count, Fraction
from sslmed.encoders.base import Encoder, halving
from sslmed.encoders.blocks import Norm, conv_block


class UNetEncoder(Encoder):
    """Returns the feature maps of one convolution block per width, with max pooling by 2 between blocks.

    Pooling rounds down: 39 becomes 19, 9, 4, 2.

    Sources: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; in 3-D Çiçek et al. 2016,
    https://arxiv.org/abs/1606.06650; the widths Taleb et al. 2020, https://arxiv.org/abs/2006.03829.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of channels of the image.
        widths: Number of channels of the feature maps, finest first.
        dropout: Fraction of activations dropped within each block.
        norm_momentum: Weight of the current batch in the running statistics (the authors' Keras code: 0.01).
        norm_eps: Added to the variance by normalisation (the authors' Keras code: 0.001).
        norm: Normalisation layers.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        widths: Sequence[Count] = (16, 32, 64, 128, 256),
        dropout: BelowOne = 0.5,
        norm_momentum: Fraction = 0.1,
        norm_eps: Amount = 1e-5,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("a U-Net needs the width of at least one feature map, got widths []")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = tuple(widths)
        self.reductions = halving(len(widths))
        self.norm = norm
        self.blocks = nn.ModuleList(
            conv_block(
                *(spatial_dims, before, after),
                dropout=dropout,
                norm=norm,
                norm_momentum=norm_momentum,
                norm_eps=norm_eps,
            )
            for before, after in zip((in_channels, *widths), widths, strict=False)
        )
        self.pool = Pool["MAX", spatial_dims](2)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, see `Encoder.forward`."""
        self.check(images)
        maps = [self.blocks[0](images)]
        for block in self.blocks[1:]:
            maps.append(block(self.pool(maps[-1])))
        return maps
