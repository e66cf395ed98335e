"""DenseNet, the paper's network for fundus photographs (https://arxiv.org/abs/1608.06993), as MONAI has it."""

from collections.abc import Sequence

from monai.networks.nets.densenet import DenseNet
from torch import Tensor, nn

from sslmed.encoders.base import Encoder, halving


class DenseNetEncoder(Encoder):
    """The map of the stem, then of every dense block; the last one after the final normalisation and ReLU.

    The defaults are DenseNet-121. Initialised at random, as MONAI does it (He-normal).

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        block_config: Layers of each dense block.
        growth_rate: Channels that a layer adds.
        init_features: Channels of the stem.
        dropout: Fraction of the channels that a layer adds which are dropped.
        norm_momentum: Weight of the current batch in the running statistics (the authors' Keras code: 0.01).
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        block_config: Sequence[int] = (6, 12, 24, 16),
        growth_rate: int = 32,
        init_features: int = 64,
        dropout: float = 0.0,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        channels = [init_features]
        for block, layers in enumerate(block_config):
            before = channels[-1] // 2 if block else init_features  # the transition between two blocks halves channels
            channels.append(before + layers * growth_rate)
        self.out_channels = tuple(channels)
        self.reductions = halving(len(channels), first=2)
        self.features = DenseNet(
            spatial_dims,
            in_channels,
            1,
            init_features,
            growth_rate,
            block_config,
            norm=("batch", {"momentum": norm_momentum}),
            dropout_prob=dropout,
        ).features
        self.relu = nn.ReLU(inplace=True)
        inner = (f"denseblock{number}" for number in range(1, len(block_config)))
        self.outputs = ("relu0", *inner, "norm5")

    @property
    def minimum_side(self) -> int:
        """The stem's two halvings round up, those between blocks down: 29 becomes 15, 8, 4, 2, 1."""
        return self.reduction - 3

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        self.check(images)
        maps, x = [], images
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.outputs:
                maps.append(x)
        maps[-1] = self.relu(maps[-1])
        return maps
