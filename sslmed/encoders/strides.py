"""Computes strided convolutions in two steps, where oneDNN's gradients in one step touch memory that is not theirs.

oneDNN 3.12, which computes torch's convolutions on CPUs, has two such kernels. Their weight gradients are wrong or NaN,
or the process crashes:

- with AVX-512, 3-D kernels of more than 5 voxels with a stride and padding, on images of 5 to 7 voxels along the first
  axis (`compute_od_loop_partial` in oneDNN's `jit_avx512_common_conv_kernel.cpp`);
- with AVX2, 2-D kernels of 1 pixel with a stride on fewer than 8 channels, channels last
  (https://github.com/uxlfoundation/oneDNN/issues/6035).
"""

from typing import TypeVar

from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

WIDEST_SAFE = 5  # voxels of a kernel


def separate_strides(network: Network) -> Network:
    """Let strided convolutions pad or subsample their input in a step of its own. Outputs and weights stay the same.

    Args:
        network: Any module. It is changed in place; a second call changes nothing.

    Returns:
        The same module.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Conv3d) or max(layer.stride) == 1:
            continue
        if max(layer.kernel_size) == 1 and not any(layer.padding):
            layer.register_forward_pre_hook(_Subsampling(layer.stride))
            layer.stride = (1,) * len(layer.stride)
        elif isinstance(layer, nn.Conv3d) and max(layer.kernel_size) > WIDEST_SAFE and layer.padding_mode == "zeros":
            layer.padding_mode = "constant"  # any mode but "zeros" pads first; the constant is 0
    return network


class _Subsampling:
    def __init__(self, stride: tuple[int, ...]) -> None:
        self.steps = (..., *(slice(None, None, step) for step in stride))

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:  # noqa: ARG002 - torch's signature
        return inputs[0][self.steps]
