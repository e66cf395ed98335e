"""Convolutions with neighbours as channels are convolutions."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslmed.learning.convolutions import correct_convolutions
from sslmed.learning.folding import can_fold, convolve_folded

KINDS = {"pointwise": (5, 1), "one channel": (1, 3), "many channels": (16, 3)}
"""Input channels and size of the kernel, one of each way to compute them."""


def _draw(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "size"), KINDS.values(), ids=KINDS)
def test_folding_changes_neither_outputs_nor_gradients(inputs: int, size: int, bias: bool) -> None:
    images = _draw(0, 2, inputs, 5, 6, 16).to(memory_format=torch.channels_last_3d)
    tensors = [images, _draw(1, 3, inputs, size, size, size), *([_draw(2, 3)] if bias else [])]
    results = []
    for convolve in (convolve_folded, partial(F.conv3d, padding=size // 2)):
        variables = [each.clone().requires_grad_() for each in tensors]
        output = convolve(variables[0], variables[1], variables[2] if bias else None)
        results.append((output, *torch.autograd.grad(output, variables, _draw(3, *output.shape))))
    assert results[0][0].is_contiguous(memory_format=torch.channels_last_3d)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.cuda
@pytest.mark.parametrize(("inputs", "size"), KINDS.values(), ids=KINDS)
def test_layers_of_few_channels_are_folded_on_a_gpu(inputs: int, size: int, device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("there is no GPU")
    layer = correct_convolutions(nn.Conv3d(inputs, 3, size, padding=size // 2)).to(device)
    images = _draw(0, 4, inputs, 64, 64, 64).to(memory_format=torch.channels_last_3d)
    weight, bias = (each.double().cpu() for each in layer.parameters())
    expected = F.conv3d(images, weight, bias, padding=size // 2)
    with torch.autocast("cuda", torch.bfloat16):
        assert can_fold(layer, images.float().to(device))
        found = layer(images.float().to(device))
    assert (found.double().cpu() - expected).norm() < 0.01 * expected.norm()
    assert not can_fold(layer, images.float().to(device))  # without autocast
