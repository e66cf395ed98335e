"""The one interface between encoders and what is built on them."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from sslmed.core.errors import InputError


class Encoder(nn.Module, ABC):
    """Turns an image into one feature map or several, such as those of a U-Net's levels.

    Heads read the last (coarsest) map, decoders all of them; both are built from the attributes alone.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        out_channels: Channels of each feature map, finest first.
        reductions: Voxels of the image per voxel of each map, along each axis, finest first: `(1, 2, 4)` where maps
            halve, `(16,)` for a transformer on patches of 16. For a decoder, each is a multiple of the one before.
    """

    spatial_dims: int
    in_channels: int
    out_channels: tuple[int, ...]
    reductions: tuple[int, ...]

    @property
    def reduction(self) -> int:
        """Voxels of the image per voxel of the coarsest map, along each axis."""
        return self.reductions[-1]

    @property
    def minimum_side(self) -> int:
        """Shortest side, in voxels, that leaves a voxel of the coarsest map; here, where reductions round down."""
        return self.reduction

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        Args:
            images: `(B, in_channels, *spatial)`, every side at least `minimum_side`.

        Returns:
            One map `(B, out_channels[i], *spatial_i)` per level, finest first.

        Raises:
            InputError: If the images have another rank, number of channels, or a shorter side.
        """

    def check(self, images: Tensor) -> None:
        """Refuse images the encoder cannot take, before a layer fails less readably."""
        expected = f"(B, {self.in_channels}, " + ", ".join("IJK"[: self.spatial_dims]) + ")"
        if images.ndim != self.spatial_dims + 2 or images.shape[1] != self.in_channels:
            msg = f"{type(self).__name__} expects images {expected}, got {tuple(images.shape)}"
            raise InputError(msg)
        if min(images.shape[2:]) < self.minimum_side:
            msg = (
                f"{type(self).__name__} reduces its input {self.reduction}-fold: it needs sides of at least "
                f"{self.minimum_side} voxels, got {tuple(images.shape[2:])}; "
                "use larger images or patches, or fewer levels"
            )
            raise InputError(msg)


def halving(levels: int, first: int = 1) -> tuple[int, ...]:
    """Reductions of maps each half as fine as the one before.

    Args:
        levels: Number of maps.
        first: Reduction of the finest.
    """
    return tuple(first * 2**level for level in range(levels))
