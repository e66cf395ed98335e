"""Defines the encoder of SwinUNETR, a transformer with shifted windows, on MONAI's network.

Sources: Hatamizadeh et al. 2022, https://arxiv.org/abs/2201.01266; Liu et al. 2021, https://arxiv.org/abs/2103.14030.
"""

from collections.abc import Sequence
from typing import Any

from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor

from sslmed.core.errors import InputError
from sslmed.core.numbers import BelowOne, Count
from sslmed.encoders.base import Encoder, halving
from sslmed.encoders.blocks import Norm

MOST_STAGES = 4  # of MONAI's network


class SwinEncoder(Encoder):
    """Returns the feature maps of the patch embedding and of each stage, normalised over channels.

    Every map has twice the channels of the one before, and half its sides, rounded up. Images of any size are padded at
    their end, so they need not be divisible by 32, as in SwinUNETR. The defaults are those of SwinUNETR, whose decoder
    has instance norms; the encoder has layer norms.

    Sources: Hatamizadeh et al. 2022, https://arxiv.org/abs/2201.01266; Liu et al. 2021,
    https://arxiv.org/abs/2103.14030.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of channels of the image.
        embed_dim: Number of channels of the finest map.
        depths: Number of transformer blocks of each stage, at most four stages. Every second block shifts its windows.
        num_heads: Number of attention heads of each stage. They share the channels equally.
        window_size: Side of the windows of attention, in voxels of the map.
        patch_size: Side of a patch, in voxels of the image.
        dropout: Fraction of activations dropped after patch embedding, attention and each layer.
        drop_path: Largest fraction of blocks that are skipped, for the last one (stochastic depth).
        norm: Normalisation layers of a decoder on this encoder.

    Raises:
        InputError: If there are no or more than four stages, or if heads cannot share the channels.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        embed_dim: Count = 48,
        depths: Sequence[Count] = (2, 2, 2, 2),
        num_heads: Sequence[Count] = (3, 6, 12, 24),
        window_size: Count = 7,
        patch_size: Count = 2,
        dropout: BelowOne = 0.0,
        drop_path: BelowOne = 0.0,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        if not 1 <= len(depths) == len(num_heads) <= MOST_STAGES:
            raise InputError(
                f"a Swin transformer has 1 to {MOST_STAGES} stages, each with its depth and heads, got depths "
                f"{list(depths)} and num_heads {list(num_heads)}"
            )
        widths = [embed_dim * 2**stage for stage in range(len(depths) + 1)]
        if uneven := [f"{width} by {heads}" for width, heads in zip(widths, num_heads, strict=False) if width % heads]:
            msg = f"a Swin transformer's heads share its channels equally, which is not possible for {uneven[0]}"
            raise InputError(f"{msg}: change embed_dim {embed_dim} or num_heads {list(num_heads)}")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = tuple(widths)
        self.reductions = halving(len(widths), first=patch_size)
        self.norm = norm
        self.transformer = SwinTransformer(
            in_channels,
            embed_dim,
            window_size=(window_size,) * spatial_dims,
            patch_size=(patch_size,) * spatial_dims,
            depths=depths,
            num_heads=num_heads,
            drop_rate=dropout,
            attn_drop_rate=dropout,
            drop_path_rate=drop_path,
            spatial_dims=spatial_dims,
        )

    def sides_leaving(self, voxels: int) -> list[int]:
        """Return the shortest sides, see `Encoder.sides_leaving`; of the last but one map, whose norm a decoder has."""
        return [step // 2 * (voxels - 1) + 1 for step in self.axis_reductions[-1]]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, see `Encoder.forward`."""
        self.check(images)
        swin: Any = self.transformer
        x = swin.pos_drop(swin.patch_embed(images))
        maps = [swin.proj_out(x, normalize=True)]
        for stage in (*swin.layers1, *swin.layers2, *swin.layers3, *swin.layers4):
            x = stage(x.contiguous())
            maps.append(swin.proj_out(x, normalize=True))
        return maps
