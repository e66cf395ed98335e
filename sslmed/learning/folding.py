"""Convolutions of few channels on a GPU in half precision, with neighbouring voxels as further channels.

cuDNN's kernels for volumes compute blocks of 32 channels and more: with 16, half of the work is for nothing; with 1 or
3, almost all. With channels last, neighbours along the last axis lie side by side in memory, so `(B, C, X, Y, Z)` is
`(B, n C, X, Y, Z / n)` without a copy. Results are the same up to rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HALF = (torch.bfloat16, torch.float16)
FEWEST_VOXELS = 2**20
"""Voxels of a batch from which it pays. With fewer, the GPU waits for Python rather than for convolutions."""
MOST_OUTPUTS = 16
INPUTS = {1: range(1, 33), 3: (1, *range(16, 33))}
"""Size of the kernel -> numbers of input channels for which it is faster. Others were not measured."""
FOLDED = 4
FOLDED_ROWS = 8
"""Number of neighbours in a convolution, and in a matrix product, whose rows must be multiples of 16 bytes."""


def can_fold(layer: nn.Conv3d, images: Tensor) -> bool:
    """Whether `convolve_folded` computes a layer, and is the faster way.

    Args:
        layer: The convolution.
        images: `(B, C, X, Y, Z)`.
    """
    if not images.is_cuda or not (torch.is_autocast_enabled("cuda") or layer.weight.dtype in HALF):
        return False
    size = layer.kernel_size[0]
    kind = layer.kernel_size, layer.padding, layer.stride, layer.dilation, layer.groups, layer.padding_mode
    return (
        layer.in_channels in INPUTS.get(size, ())
        and kind == ((size,) * 3, (size // 2,) * 3, (1,) * 3, (1,) * 3, 1, "zeros")
        and layer.out_channels <= MOST_OUTPUTS
        and images.shape[-1] % FOLDED_ROWS == 0
        and images.numel() >= FEWEST_VOXELS * layer.in_channels
        and images.is_contiguous(memory_format=torch.channels_last_3d)
    )


def convolve_folded(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a convolution with stride 1 that keeps the size of the images: the same as `conv3d`, up to rounding.

    Args:
        images: `(B, C, X, Y, Z)`, `Z` a multiple of 8.
        weight: `(O, C, 3, 3, 3)` or `(O, C, 1, 1, 1)`.
        bias: `(O)`, or none.

    Returns:
        `(B, O, X, Y, Z)`, channels last.
    """
    if weight.shape[-1] == 1:
        return _pointwise(images, weight, bias)
    if weight.shape[1] == 1:
        return _windows(images, weight, bias)
    return _blocks(images, weight, bias)


def _pointwise(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply the channels of neighbours by a matrix of which all blocks off the diagonal are zero."""
    n, (outputs, inputs) = FOLDED_ROWS, weight.shape[:2]
    rows = images.permute(0, 2, 3, 4, 1).reshape(-1, n * inputs)
    shifted = [F.pad(weight.flatten(1), (place * inputs, (n - 1 - place) * inputs)) for place in range(n)]
    return _as_images(F.linear(rows, torch.cat(shifted), _repeat(bias, n)), images, outputs)


def _windows(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Copy what neighbours read of one channel into rows of 3 × 4 × (n + 2) voxels, of which a layer has no weight."""
    n = FOLDED_ROWS
    padded = F.pad(images, (1, 1, 1, 2, 1, 1))
    windows = padded[:, 0].unfold(1, 3, 1).unfold(2, 4, 1).unfold(3, n + 2, n)  # (B, X, Y, Z / n, 3, 4, n + 2)
    rows = windows.flatten(4).flatten(0, 3)
    shifted = [F.pad(weight, (place, n - 1 - place, 0, 1)).flatten(1) for place in range(n)]
    return _as_images(F.linear(rows, torch.cat(shifted), _repeat(bias, n)), images, len(weight))


def _blocks(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve blocks of neighbours. Weights of voxels in adjacent blocks that are not neighbours are zero."""
    n, (outputs, inputs) = FOLDED, weight.shape[:2]
    last = images.permute(0, 2, 3, 4, 1)
    blocks = last.reshape(*last.shape[:3], -1, n * inputs).permute(0, 4, 1, 2, 3)
    shifted = [F.pad(weight, (n - 1 + place, 2 * n - 2 - place)) for place in range(n)]
    kernel = torch.cat(shifted).reshape(n * outputs, inputs, 3, 3, 3, n).permute(0, 5, 1, 2, 3, 4).flatten(1, 2)
    convolved = F.conv3d(blocks, kernel, _repeat(bias, n), padding=1)
    return _as_images(convolved.permute(0, 2, 3, 4, 1), images, outputs)


def _repeat(bias: Tensor | None, n: int) -> Tensor | None:
    return None if bias is None else bias.repeat(n)


def _as_images(rows: Tensor, images: Tensor, channels: int) -> Tensor:
    """View rows of neighbours and their channels as `(B, channels, X, Y, Z)`."""
    return rows.reshape(images.shape[0], *images.shape[2:], channels).permute(0, 4, 1, 2, 3)
