"""Defines a DenseNet encoder on MONAI's network: the paper's network for fundus photographs.

Source: Huang et al. 2017, https://arxiv.org/abs/1608.06993.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from monai.networks.nets.densenet import DenseNet
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import BelowOne, Count, Fraction
from sslmed.encoders.base import Encoder, halving
from sslmed.encoders.blocks import Norm, norm_layer


class DenseNetEncoder(Encoder):
    """Returns the feature maps of the stem and of every dense block, the last one after normalisation and ReLU.

    The defaults are DenseNet-121. MONAI initialises the weights (He-normal).

    Source: Huang et al. 2017, https://arxiv.org/abs/1608.06993, table 1.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of channels of the image.
        block_config: Number of layers of each dense block.
        growth_rate: Number of channels that a layer adds.
        init_features: Number of channels of the stem.
        dropout: Fraction of a layer's new channels that are dropped.
        norm_momentum: Weight of the current batch in the running statistics (the authors' Keras code: 0.01).
        norm: Normalisation layers.
    """

    # https://github.com/pytorch/vision/blob/main/torchvision/models/densenet.py; its files have norm.1 for norm1
    published_names: ClassVar[Mapping[str, str]] = {
        r"(denselayer\d+)\.(norm|conv)\.?([12])\.": r"\1.layers.\2\3.",
        r"^features\.": "encoder.features.",
    }

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        block_config: Sequence[Count] = (6, 12, 24, 16),
        growth_rate: Count = 32,
        init_features: Count = 64,
        dropout: BelowOne = 0.0,
        norm_momentum: Fraction = 0.1,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if not block_config:
            raise InputError("a DenseNet needs the layers of at least one block, got block_config []")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        channels = [init_features]
        for block, layers in enumerate(block_config):
            before = channels[-1] // 2 if block else init_features  # the transition between two blocks halves channels
            channels.append(before + layers * growth_rate)
        self.out_channels = tuple(channels)
        self.reductions = halving(len(channels), first=2)
        self.norm = norm
        self.features = DenseNet(
            spatial_dims,
            in_channels,
            1,
            init_features,
            growth_rate,
            block_config,
            norm=norm_layer(norm, norm_momentum),
            dropout_prob=dropout,
        ).features
        self.relu = nn.ReLU(inplace=True)
        inner = (f"denseblock{number}" for number in range(1, len(block_config)))
        self.outputs = ("relu0", *inner, "norm5")

    def sides_leaving(self, voxels: int) -> list[int]:
        """Return the shortest sides, see `Encoder.sides_leaving`. The stem's two halvings round up, later ones down."""
        return [step * voxels - 3 for step in self.axis_reductions[-1]]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, see `Encoder.forward`."""
        self.check(images)
        maps, x = [], images
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.outputs:
                maps.append(x)
        maps[-1] = self.relu(maps[-1])
        return maps
