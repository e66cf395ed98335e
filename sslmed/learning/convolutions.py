"""Convolutions on small images, which torch's library for CPUs (oneDNN 3.12) computes wrong.

Some of its kernels read and write memory that is not theirs. Weight gradients are then wrong, NaN, or different in each
run, or the process crashes:

- with AVX-512, 3-D kernels of 7 voxels and more with a stride, on images of 5 to 7 voxels along the first axis
  (`compute_od_loop_partial` in oneDNN's `jit_avx512_common_conv_kernel.cpp`);
- with AVX-512 and bfloat16, kernels of 3 and more, on images smaller than the kernel; also outputs;
- with AVX2, 2-D kernels of 1 pixel with a stride, on fewer than 8 channels, channels last
  (https://github.com/uxlfoundation/oneDNN/issues/6035).
"""

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from sslmed.learning.folding import HALF, can_fold, convolve_folded

Network = TypeVar("Network", bound=nn.Module)


def correct_convolutions(network: Network) -> Network:
    """Let all convolutions of a network avoid these kernels. On a GPU, those of few channels are folded.

    Small images are computed in float32, and padded in a step of its own. A kernel of 1 with a stride becomes one
    without, on every second voxel.

    Args:
        network: Any module. It is changed in place. Its weights and their names stay the same.

    Returns:
        The same module.
    """
    for layer in network.modules():
        layer.__class__ = CORRECT.get(type(layer), type(layer))
    return network


class _Correct(_ConvNd):
    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or self.padding_mode != "zeros":
            return self._conv_forward(images, self.weight, self.bias)
        extents = zip(images.shape[-len(self.stride) :], self.kernel_size, self.stride, strict=True)
        is_small = any(side < kernel + step for side, kernel, step in extents)
        if not is_small or not (torch.is_autocast_enabled("cpu") or self.weight.dtype in HALF):
            return self._in_steps(images, self.weight, self.bias, is_small=is_small)
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast("cpu", enabled=False):
            result = self._in_steps(images.float(), self.weight.float(), bias, is_small=is_small)
        return result.to(self.weight.dtype)

    def _in_steps(self, images: Tensor, weight: Tensor, bias: Tensor | None, *, is_small: bool) -> Tensor:
        is_pointwise = max(self.kernel_size) == 1
        if max(self.stride) == 1 or not (is_small or is_pointwise):
            return self._conv_forward(images, weight, bias)
        margins = self._reversed_padding_repeated_twice
        stride = self.stride
        if any(margins):
            images = F.pad(images, margins)
        if is_pointwise:
            places: tuple[Any, ...] = (..., *(slice(None, None, step) for step in stride))
            images = images[places]
            stride = (1,) * len(stride)
        convolve: Any = F.conv3d if isinstance(self, nn.Conv3d) else F.conv2d
        result: Tensor = convolve(images, weight, bias, stride, 0, self.dilation, self.groups)
        return result


class _Conv2d(_Correct, nn.Conv2d):
    pass


class _Conv3d(_Correct, nn.Conv3d):
    def forward(self, images: Tensor) -> Tensor:
        if can_fold(self, images):
            return convolve_folded(images, self.weight, self.bias)
        return super().forward(images)


CORRECT: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: _Conv2d, nn.Conv3d: _Conv3d}
