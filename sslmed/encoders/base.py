"""The one interface between encoders and what is built on them."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from sslmed.core.errors import InputError


class Encoder(nn.Module, ABC):
    """Turns an image into feature maps, each half as fine as the one before.

    Pretext heads read the last (coarsest) map, decoders all of them; both are built from the attributes alone.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        out_channels: Channels of each feature map, finest first.
        stride: Voxels of the image per voxel of the finest map, along each axis.
    """

    spatial_dims: int
    in_channels: int
    out_channels: tuple[int, ...]
    stride: int = 1

    @property
    def reduction(self) -> int:
        """Voxels of the image per voxel of the coarsest map, along each axis."""
        return int(self.stride * 2 ** (len(self.out_channels) - 1))

    @property
    def minimum_side(self) -> int:
        """Shortest side, in voxels, that leaves a voxel of the coarsest map; here, where every halving rounds down."""
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
