"""The contracting path of the 3-D U-Net, with the paper's widths (https://arxiv.org/abs/2006.03829)."""

from collections.abc import Sequence

from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.factories import Pool
from torch import Tensor, nn

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
    """Two 3-wide convolutions, each followed by ReLU and batch normalisation, with dropout between them.

    He-normal initialisation, as in the authors' code.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels that come in.
        out_channels: Channels of both convolutions.
        dropout: Fraction of single activations dropped after the first convolution.
        norm_momentum: Weight of the current batch in batch normalisation's running statistics.
        norm_eps: What batch normalisation adds to the variance.
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
    """One block per width, with max pooling by 2 between blocks.

    Pooling floors: 39 becomes 19, 9, 4, 2.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        widths: Channels of the feature maps, finest first.
        dropout: Fraction of activations dropped within each block.
        norm_momentum: Weight of the current batch in the running statistics (the authors' Keras code: 0.01).
        norm_eps: What batch normalisation adds to the variance (the authors' Keras code: 0.001).
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        dropout: float = 0.5,
        norm_momentum: float = 0.1,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
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
        """See `Encoder.forward`."""
        self.check(images)
        maps = [self.blocks[0](images)]
        for block in self.blocks[1:]:
            maps.append(block(self.pool(maps[-1])))
        return maps
