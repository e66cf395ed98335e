"""Defines the residual encoder of nnU-Net's ResEnc U-Nets.

Sources: Isensee et al. 2024, https://arxiv.org/abs/2404.09556; the code is
https://github.com/MIC-DKFZ/dynamic-network-architectures.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from monai.networks.layers.factories import Conv, Pool
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count
from sslmed.encoders.base import Encoder
from sslmed.encoders.blocks import Norm, norm_layer

SLOPE = 0.01  # of LeakyReLU
Sizes = Sequence[Count | Sequence[Count]]


class ResidualEncoder(Encoder):
    """Returns the feature maps of stages of residual blocks, the first of which has a stride.

    It computes what `ResidualEncoderUNet` of dynamic-network-architectures computes, and its tensors have the same
    names; that library names each of them a second time, `….all_modules.…`, which is left out here. Strides round up.

    Sources: Isensee et al. 2024, https://arxiv.org/abs/2404.09556; the blocks He et al. 2019,
    https://arxiv.org/abs/1812.01187, figure 2c.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of channels of the image.
        features_per_stage: Number of channels of each stage. The stem has as many as the first one.
        n_blocks_per_stage: Number of residual blocks of each stage.
        strides: Stride of each stage, one number or one for each axis.
        kernel_sizes: Sides in voxels of the convolutions of each stage, odd; the same.
        norm: Normalisation layers. nnU-Net has `instance`.

    Raises:
        InputError: If the numbers of stages or axes differ, or a kernel has an even side.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        features_per_stage: Sequence[Count] = (8, 16, 32),
        n_blocks_per_stage: Sequence[Count] = (1, 2, 2),
        strides: Sizes = (1, 2, 2),
        kernel_sizes: Sizes = (3, 3, 3),
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        n_stages = len(features_per_stage)
        if n_stages == 0 or any(len(each) != n_stages for each in (n_blocks_per_stage, strides, kernel_sizes)):
            raise InputError(
                "a residual encoder needs one entry for each stage, at least one, in features_per_stage, "
                f"n_blocks_per_stage, strides and kernel_sizes, got {n_stages}, {len(n_blocks_per_stage)}, "
                f"{len(strides)} and {len(kernel_sizes)}"
            )
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = tuple(features_per_stage)
        self.norm = norm
        self.strides = [self._for_axes("strides", each) for each in strides]
        self.kernel_sizes = [self._for_axes("kernel_sizes", each) for each in kernel_sizes]
        if any(side % 2 == 0 for kernel in self.kernel_sizes for side in kernel):
            raise InputError(f"a residual encoder needs kernel_sizes that are odd, got {list(kernel_sizes)}")
        reductions = [(1,) * spatial_dims]
        for stride in self.strides:
            reductions.append(tuple(step * before for step, before in zip(stride, reductions[-1], strict=True)))
        self.reductions = tuple(reductions[1:])
        width = features_per_stage[0]
        self.stem = _named("convs", [ConvNorm(in_channels, width, self.kernel_sizes[0], norm=norm)])
        self.stages = nn.ModuleList()
        for after, n_blocks, kernel, stride in zip(
            features_per_stage, n_blocks_per_stage, self.kernel_sizes, self.strides, strict=True
        ):
            first = _Block(width, after, kernel, stride, norm)
            others = [_Block(after, after, kernel, (1,) * spatial_dims, norm) for _ in range(n_blocks - 1)]
            self.stages.append(_named("blocks", [first, *others]))
            width = after

    def _for_axes(self, name: str, sizes: int | Sequence[int]) -> tuple[int, ...]:
        each = (sizes,) * self.spatial_dims if isinstance(sizes, int) else tuple(sizes)
        if len(each) != self.spatial_dims:
            raise InputError(
                f"{name}: expected one number for all axes or {self.spatial_dims} for each stage, got {sizes}"
            )
        return each

    def sides_leaving(self, voxels: int) -> list[int]:
        """Return the shortest sides, see `Encoder.sides_leaving`. Strides round up; PyTorch averages whole strides."""
        needed = []
        for steps in zip(*self.axis_reductions, strict=True):
            whole_stride = max(after - before for before, after in pairwise((1, *steps)))
            needed.append(max(steps[-1] * (voxels - 1), whole_stride) + 1)
        return needed

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, see `Encoder.forward`."""
        self.check(images)
        maps: list[Tensor] = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def decoder_block(self, level: int, *, dropout: float, norm_momentum: float, norm_eps: float) -> nn.Module:
        """Build the one convolution that nnU-Net's decoder has at a level, see `Encoder.decoder_block`."""
        width, kernel = self.out_channels[level], self.kernel_sizes[level]
        block = ConvNorm(
            *(2 * width, width, kernel),
            norm=self.norm,
            dropout=dropout,
            norm_momentum=norm_momentum,
            norm_eps=norm_eps,
        )
        return _named("convs", [block])


class ConvNorm(nn.Module):
    """A convolution, dropout, normalisation and LeakyReLU. Weights are initialised as in nnU-Net, He-normal.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Sides in voxels, odd, one for each axis.
        stride: Of the convolution; by default 1.
        norm: The normalisation layer.
        bias: Whether the convolution has one.
        active: Whether a LeakyReLU follows.
        dropout: Fraction of activations dropped.
        norm_momentum: Weight of the current batch in running statistics.
        norm_eps: Added to the variance.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        *,
        norm: Norm,
        bias: bool = True,
        active: bool = True,
        dropout: float = 0.0,
        norm_momentum: float = 0.1,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        dims = len(kernel_size)
        padding = tuple(side // 2 for side in kernel_size)
        self.conv = Conv["conv", dims](in_channels, out_channels, kernel_size, stride or 1, padding, bias=bias)
        nn.init.kaiming_normal_(self.conv.weight, a=SLOPE)
        if bias:
            nn.init.zeros_(self.conv.bias)
        self.dropout = nn.Dropout(dropout)
        self.norm = get_norm_layer(norm_layer(norm, norm_momentum, norm_eps), dims, out_channels)
        self.nonlin = nn.LeakyReLU(SLOPE, inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to `(B, in_channels, *spatial)`."""
        y: Tensor = self.nonlin(self.norm(self.dropout(self.conv(x))))
        return y


class _Block(nn.Module):
    """Adds two convolutions to their input, which is averaged for the stride and projected if channels differ."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: tuple[int, ...], stride: tuple[int, ...], norm: Norm
    ) -> None:
        super().__init__()
        dims = len(kernel)
        self.conv1 = ConvNorm(in_channels, out_channels, kernel, stride, norm=norm)
        self.conv2 = ConvNorm(out_channels, out_channels, kernel, norm=norm, active=False)
        nn.init.zeros_(self.conv2.norm.weight)  # as in nnU-Net, so that a block begins as the identity
        skip: list[nn.Module] = []
        if max(stride) > 1:
            skip.append(Pool["AVG", dims](stride, stride, ceil_mode=True))  # rounds up, as the convolution does
        if in_channels != out_channels:
            skip.append(ConvNorm(in_channels, out_channels, (1,) * dims, norm=norm, bias=False, active=False))
        self.skip = nn.Sequential(*skip) if skip else nn.Identity()
        self.nonlin2 = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))
        return y


def _named(name: str, modules: Sequence[nn.Module]) -> nn.Sequential:
    """Put modules in a row, one level deeper, as the names of nnU-Net's tensors have it."""
    return nn.Sequential(OrderedDict({name: nn.Sequential(*modules)}))
