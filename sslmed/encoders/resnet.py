"""ResNet of basic blocks (https://arxiv.org/abs/1512.03385), as MONAI has it."""

from collections.abc import Sequence
from typing import Literal

from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.encoders.base import Encoder, halving


class ResNetEncoder(Encoder):
    """The map of the stem, then of each of the four stages.

    The defaults are ResNet-18. Initialised at random, as MONAI does it (He-normal).

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        widths: Channels of each stage; the stem has as many as the first.
        depths: Residual blocks of each stage.
        stem_stride: Stride of the stem; 1 keeps the finest map as fine as the image.

    Raises:
        InputError: If there are not four stages.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_stride: Literal[1, 2] = 2,
    ) -> None:
        super().__init__()
        if not len(widths) == len(depths) == 4:
            msg = f"a ResNet has four stages, got widths {tuple(widths)} and depths {tuple(depths)}"
            raise InputError(msg)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = (widths[0], *widths)
        self.reductions = halving(len(self.out_channels), first=stem_stride)
        network = ResNet(
            "basic",
            list(depths),
            list(widths),
            spatial_dims,
            in_channels,
            conv1_t_stride=stem_stride,
            feed_forward=False,
            bias_downsample=False,  # batch normalisation follows and would take a bias away
        )
        self.stem = nn.Sequential(network.conv1, network.bn1, network.act)
        self.stages = nn.ModuleList(
            [nn.Sequential(network.maxpool, network.layer1), network.layer2, network.layer3, network.layer4]
        )

    @property
    def minimum_side(self) -> int:
        """Every halving rounds up, so a single voxel is left of any image."""
        return 1

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        self.check(images)
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps
