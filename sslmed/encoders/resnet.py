"""Defines a ResNet encoder of basic blocks on MONAI's network.

Source: He et al. 2016, https://arxiv.org/abs/1512.03385.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from monai.networks.layers.utils import get_norm_layer
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count
from sslmed.encoders.base import Encoder, halving
from sslmed.encoders.blocks import Norm, norm_layer


class ResNetEncoder(Encoder):
    """Returns the feature maps of the stem and of each of the four stages.

    The defaults are ResNet-18. MONAI initialises the weights (He-normal).

    Source: He et al. 2016, https://arxiv.org/abs/1512.03385, table 1.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of channels of the image.
        widths: Number of channels of each stage. The stem has as many as the first stage.
        depths: Number of residual blocks of each stage.
        stem_stride: Stride of the stem. With 1 the finest map has the size of the image.
        norm: Normalisation layers.

    Raises:
        InputError: If there are not four stages.
    """

    # https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py
    published_names: ClassVar[Mapping[str, str]] = {
        r"^conv1\.": "encoder.stem.0.",
        r"^bn1\.": "encoder.stem.1.",
        r"^layer1\.": "encoder.stages.0.1.",  # after the pooling
        **{rf"^layer{stage + 1}\.": f"encoder.stages.{stage}." for stage in (1, 2, 3)},
    }

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        widths: Sequence[Count] = (64, 128, 256, 512),
        depths: Sequence[Count] = (2, 2, 2, 2),
        stem_stride: Literal[1, 2] = 2,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if not len(widths) == len(depths) == 4:
            raise InputError(f"a ResNet has four stages, got widths {tuple(widths)} and depths {tuple(depths)}")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = (widths[0], *widths)
        self.reductions = halving(len(self.out_channels), first=stem_stride)
        self.norm = norm
        network = ResNet(
            "basic",
            list(depths),
            list(widths),
            spatial_dims,
            in_channels,
            conv1_t_stride=stem_stride,
            feed_forward=False,
            bias_downsample=False,  # normalisation follows and would remove a bias
        )
        if norm != "batch":
            _replace_norms(network, norm, spatial_dims)
        self.stem = nn.Sequential(network.conv1, network.bn1, network.act)
        self.stages = nn.ModuleList(
            [nn.Sequential(network.maxpool, network.layer1), network.layer2, network.layer3, network.layer4]
        )

    def sides_leaving(self, voxels: int) -> list[int]:
        """Return the shortest sides, see `Encoder.sides_leaving`. Every halving rounds up."""
        return [step * (voxels - 1) + 1 for step in self.axis_reductions[-1]]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, see `Encoder.forward`."""
        self.check(images)
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


def _replace_norms(network: nn.Module, norm: Norm, spatial_dims: int) -> None:
    """Replace batch norms; MONAI 1.6 passes a `norm` of its ResNet to the stem alone."""
    for parent in [*network.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, get_norm_layer(norm_layer(norm), spatial_dims, child.num_features))
