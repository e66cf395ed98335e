"""A convolutional encoder computes on the visible voxels of an image only, as sparse convolutions do.

Source: Tian et al. 2023 (SparK), https://arxiv.org/abs/2301.03580, section 3.1.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from sslmed.core.errors import InputError
from sslmed.encoders import Encoder

NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm)
SPREADING = (_ConvNd, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool2d, nn.AvgPool3d)
"""Layers whose output depends on neighbours, so that visible voxels reach hidden ones."""

ZERO_STAYS: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU),
    *(nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.Identity),
)


def check_sparse(encoder: Encoder) -> None:
    """Check that an encoder has no layer that mixes all voxels, or moves zeros.

    Raises:
        InputError: If it has, as a transformer does.
    """
    leaves = [layer for layer in encoder.modules() if not [*layer.children()]]
    others = {type(each).__name__ for each in leaves if not isinstance(each, (*NORMS, *SPREADING, *ZERO_STAYS))}
    if others:
        raise InputError(
            f"sparse is for convolutional encoders: {type(encoder).__name__} has {', '.join(sorted(others))}"
        )


@contextmanager
def only_visible(encoder: Encoder, visible: Tensor) -> Iterator[None]:
    """Let an encoder compute on visible voxels only, for as long as the context lasts.

    After each convolution and pooling hidden voxels are 0 again, and normalisation takes its statistics from visible
    voxels. With all voxels visible, nothing changes.

    Args:
        encoder: The encoder; see `check_sparse`.
        visible: True where visible, `(B, 1, *spatial)`, the same number of voxels in every image and feature map.
    """
    masks: dict[tuple[int, ...], Tensor] = {}
    shapes: dict[nn.Module, Tensor] = {}

    def mask_of(maps: Tensor) -> Tensor:
        sides = tuple(maps.shape[2:])
        if sides not in masks:
            masks[sides] = F.interpolate(visible.float(), sides).bool()
        return masks[sides]

    def hide(_: nn.Module, __: Any, output: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        return output * mask_of(output)

    def gather(layer: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        (maps,) = arguments
        shapes[layer] = maps
        seen = maps.movedim(1, -1)[mask_of(maps)[:, 0]]  # (B·N, C)
        seen = seen.reshape(len(maps), -1, maps.shape[1]).mT
        return (seen.reshape(*seen.shape, *[1] * (maps.ndim - 3)),)

    def scatter(layer: nn.Module, _: Any, output: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        maps = shapes.pop(layer)
        whole = output.new_zeros(len(maps), *maps.shape[2:], maps.shape[1])
        whole[mask_of(maps)[:, 0]] = output.flatten(2).mT.flatten(0, 1)
        return whole.movedim(-1, 1)

    with ExitStack() as hooks:
        for layer in encoder.modules():
            if isinstance(layer, SPREADING):
                hooks.enter_context(layer.register_forward_hook(hide))
            elif isinstance(layer, NORMS):
                hooks.enter_context(layer.register_forward_pre_hook(gather))
                hooks.enter_context(layer.register_forward_hook(scatter))
        yield
