"""Defines the interface of encoders, which heads and decoders are built on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.encoders.blocks import Norm, conv_block, voxels_needed


class Encoder(nn.Module, ABC):
    """Turns an image into one or several feature maps, e.g. those of a U-Net's levels.

    Heads read the last (coarsest) map, decoders read all of them. Both are built from the attributes alone.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: Number of channels of the image.
        out_channels: Number of channels of each feature map, finest first.
        reductions: Voxels of the image per voxel of each map, along each axis, finest first: `(1, 2, 4)` if maps halve,
            `(16,)` for a transformer on patches of 16, `(1, (2, 2, 1))` if axes differ. For a decoder, each must be a
            multiple of the one before.
        norm: Normalisation layers of a decoder, which should be those of the encoder.
        published_names: Regular expression in the names of tensors that others publish for this network -> replacement
            that gives `encoder.` and the name here, e.g. of torchvision's and timm's weights from ImageNet.
    """

    spatial_dims: int
    in_channels: int
    out_channels: tuple[int, ...]
    reductions: tuple[int | tuple[int, ...], ...]
    norm: Norm = "batch"
    published_names: ClassVar[Mapping[str, str]] = {}

    @property
    def reduction(self) -> int:
        """Voxels of the image per voxel of the coarsest map, along the axis where they are most."""
        return max(self.axis_reductions[-1])

    @property
    def axis_reductions(self) -> list[tuple[int, ...]]:
        """Reductions of each map, one for each axis, finest first."""
        return [(each,) * self.spatial_dims if isinstance(each, int) else tuple(each) for each in self.reductions]

    def sides_leaving(self, voxels: int) -> list[int]:
        """Return the shortest sides that leave so many voxels along each axis of the coarsest map; this rounds down."""
        return [step * voxels for step in self.axis_reductions[-1]]

    @property
    def minimum_side(self) -> int:
        """Length in voxels such that images fit if no side is shorter."""
        return max(*self.sides_leaving(1), min(self.sides_leaving(voxels_needed(self.norm))))

    def fits(self, sides: Sequence[int]) -> bool:
        """Whether the encoder takes images of these sides, in voxels: thin ones too, if another side is long enough."""

        def leave(voxels: int) -> list[bool]:
            return [side >= least for side, least in zip(sides, self.sides_leaving(voxels), strict=True)]

        return all(leave(1)) and any(leave(voxels_needed(self.norm)))

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        Args:
            images: `(B, in_channels, *spatial)`, of sides that `fits`.

        Returns:
            One map `(B, out_channels[i], *spatial_i)` per level, finest first.

        Raises:
            InputError: If the images have another number of dimensions or channels, or sides too short.
        """

    def decoder_block(self, level: int, *, dropout: float, norm_momentum: float, norm_eps: float) -> nn.Module:
        """Build the convolutions of a decoder that join a feature map and what was upsampled to its size.

        Args:
            level: Index of the map, in `out_channels`.
            dropout: Fraction of activations dropped.
            norm_momentum: Weight of the current batch in running statistics.
            norm_eps: Added to the variance by normalisation.

        Returns:
            A module from `(B, 2 · out_channels[level], *spatial)` to `(B, out_channels[level], *spatial)`.
        """
        width = self.out_channels[level]
        return conv_block(
            *(self.spatial_dims, 2 * width, width),
            dropout=dropout,
            norm=self.norm,
            norm_momentum=norm_momentum,
            norm_eps=norm_eps,
        )

    def check(self, images: Tensor) -> None:
        """Check the shape of images, for a clearer error than that of a layer.

        Args:
            images: `(B, in_channels, *spatial)`.

        Raises:
            InputError: If the images have another number of dimensions or channels, or do not fit.
        """
        expected = f"(B, {self.in_channels}, " + ", ".join("IJK"[: self.spatial_dims]) + ")"
        if images.ndim != self.spatial_dims + 2 or images.shape[1] != self.in_channels:
            raise InputError(f"{type(self).__name__} expects images {expected}, got {tuple(images.shape)}")
        if not self.fits(images.shape[2:]):
            raise InputError(
                f"{type(self).__name__} reduces its input {self.reduction}-fold: it needs sides of at least "
                f"{self.minimum_side} voxels, got {tuple(images.shape[2:])}; "
                "use larger images or patches, or fewer levels"
            )


def halving(levels: int, first: int = 1) -> tuple[int, ...]:
    """Return the reductions of feature maps that halve from level to level.

    Args:
        levels: Number of maps.
        first: Reduction of the finest map.

    Returns:
        Voxels of the image per voxel of each map, finest first.
    """
    return tuple(first * 2**level for level in range(levels))
