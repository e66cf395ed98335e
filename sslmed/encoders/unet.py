"""Defines the encoder (contracting path) of the U-Net, with the paper's widths in 3-D.

Sources: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; in 3-D Çiçek et al. 2016,
https://arxiv.org/abs/1606.06650; the widths Taleb et al. 2020, https://arxiv.org/abs/2006.03829.
"""

from collections.abc import Sequence

from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.factories import Pool
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count, Dropout
from sslmed.encoders.base import Encoder, halving


def conv_block(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    dropout: float = 0.0,
    norm_momentum: float = 0.1,
    norm_eps: float = 1e-5,
) -> nn.Sequential:
    """Build two 3-wide convolutions, each followed by ReLU and batch normalisation, with dropout between them.

    It maps `(B, in_channels, *spatial)` to `(B, out_channels, *spatial)`. Weights are initialised as in the authors'
    code, He-normal.

    Sources: `models/unet3d.py` of https://github.com/HealthML/self-supervised-3d-tasks; initialisation He et al. 2015,
    https://arxiv.org/abs/1502.01852.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of input channels.
        out_channels: Number of channels of both convolutions.
        dropout: Fraction of single activations dropped after the first convolution.
        norm_momentum: Weight of the current batch in batch normalisation's running statistics.
        norm_eps: Added to the variance by batch normalisation.
    """
    norm = ("batch", {"momentum": norm_momentum, "eps": norm_eps})
    block = nn.Sequential(
        Convolution(
            spatial_dims, in_channels, out_channels, adn_ordering="AND", act="relu", norm=norm, dropout=dropout or None
        ),
        Convolution(spatial_dims, out_channels, out_channels, adn_ordering="AN", act="relu", norm=norm),
    )
    for name, parameter in block.named_parameters():
        if name.endswith("conv.weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        elif name.endswith("conv.bias"):
            nn.init.zeros_(parameter)
    return block


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
        norm_eps: Added to the variance by batch normalisation (the authors' Keras code: 0.001).
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        widths: Sequence[Count] = (16, 32, 64, 128, 256),
        dropout: Dropout = 0.5,
        norm_momentum: float = 0.1,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("a U-Net needs the width of at least one feature map, got widths []")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = tuple(widths)
        self.reductions = halving(len(widths))
        self.blocks = nn.ModuleList(
            conv_block(spatial_dims, before, after, dropout=dropout, norm_momentum=norm_momentum, norm_eps=norm_eps)
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
