"""Builds the convolutions of U-Nets and names normalisation layers."""

from typing import Any, Literal

from monai.networks.blocks.convolutions import Convolution
from torch import nn

Norm = Literal["batch", "instance"]
"""MONAI's names of normalisation layers: over the images of a batch, or in each image and channel alone."""


def norm_layer(norm: Norm, momentum: float = 0.1, eps: float = 1e-5) -> tuple[str, dict[str, Any]]:
    """Describe a normalisation layer with learned scale and shift, as MONAI's networks take it.

    Args:
        norm: Its name.
        momentum: Weight of the current batch in the running statistics of batch normalisation.
        eps: Added to the variance.
    """
    return norm, {"eps": eps, **({"momentum": momentum} if norm == "batch" else {"affine": True})}


def voxels_needed(norm: Norm) -> int:
    """Return the least number of voxels of a map: the instance norm of one voxel is 0, whatever the image."""
    return 2 if norm == "instance" else 1


def conv_block(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    dropout: float = 0.0,
    norm: Norm = "batch",
    norm_momentum: float = 0.1,
    norm_eps: float = 1e-5,
) -> nn.Sequential:
    """Build two 3-wide convolutions, each followed by ReLU and normalisation, with dropout between them.

    It maps `(B, in_channels, *spatial)` to `(B, out_channels, *spatial)`. Weights are initialised as in the authors'
    code, He-normal.

    Sources: `models/unet3d.py` of https://github.com/HealthML/self-supervised-3d-tasks; initialisation He et al. 2015,
    https://arxiv.org/abs/1502.01852.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Number of input channels.
        out_channels: Number of channels of both convolutions.
        dropout: Fraction of single activations dropped after the first convolution.
        norm: Normalisation layers.
        norm_momentum: Weight of the current batch in batch normalisation's running statistics.
        norm_eps: Added to the variance by normalisation.
    """
    layer = norm_layer(norm, norm_momentum, norm_eps)
    block = nn.Sequential(
        Convolution(
            spatial_dims, in_channels, out_channels, adn_ordering="AND", act="relu", norm=layer, dropout=dropout or None
        ),
        Convolution(spatial_dims, out_channels, out_channels, adn_ordering="AN", act="relu", norm=layer),
    )
    for name, parameter in block.named_parameters():
        if name.endswith("conv.weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        elif name.endswith("conv.bias"):
            nn.init.zeros_(parameter)
    return block
