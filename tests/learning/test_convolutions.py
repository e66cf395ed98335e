"""Convolutions are right on images of any size, whatever the library that computes them makes of small ones."""

import copy
from functools import partial

import pytest
import torch
from families import ENCODERS as EVERY_KIND
from torch import Tensor, nn

from sslmed.encoders import DenseNetEncoder, Encoder
from sslmed.learning.convolutions import correct_convolutions
from sslmed.pretext import Jigsaw

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}

ENCODERS = EVERY_KIND | {
    "smallest DenseNet": partial(DenseNetEncoder, block_config=(1, 1), growth_rate=4, init_features=4)
}
every_encoder = pytest.mark.parametrize("name", ENCODERS)
both_ranks = pytest.mark.parametrize("dims", [2, 3])


def gradients(module: nn.Module, images: Tensor) -> list[Tensor]:
    module.zero_grad()
    maps = module(images)
    sum(each.sin().sum() for each in ([maps] if isinstance(maps, Tensor) else maps)).backward()
    return [torch.zeros(()) if each.grad is None else each.grad.clone() for each in module.parameters()]


@pytest.mark.slow
@every_encoder
@both_ranks
def test_gradients_are_those_in_double_precision_from_the_smallest_side_up(name: str, dims: int) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS[name](dims, 2).to(memory_format=LAYOUTS[dims])
    for layer in encoder.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    precise = copy.deepcopy(encoder).double()  # oneDNN leaves it to torch
    correct_convolutions(encoder)
    least = encoder.minimum_side
    for side in (*range(least, least + 10), least + 32):
        images = torch.rand(4, 2, *[side] * dims)
        found, expected = gradients(encoder, images), gradients(precise, images.double())
        scale = max(each.abs().max().item() for each in expected)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=0.01 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 2), (7, 2), (8, 2), (11, 4)])
@both_ranks
def test_outputs_and_gradients_are_those_in_double_precision(
    kernel: int, stride: int, dims: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims](4, 6, kernel, stride=stride, padding=kernel // 2)
    precise = copy.deepcopy(convolution).double()
    corrected = correct_convolutions(correct_convolutions(convolution)).to(memory_format=LAYOUTS[dims])
    tolerance = 1e-3 if dtype == torch.float32 else 0.05
    for side in range(max(1, kernel // 2), kernel + stride + 2):
        images = torch.rand(8, 4, *[side] * dims)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            outputs = corrected(images)
            found = gradients(corrected, images)
        expected = precise(images.double())
        for ours, theirs in zip((outputs, *found), (expected, *gradients(precise, images.double())), strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance * theirs.abs().max().item())


def train(encoder: Encoder, side: int) -> list[Tensor]:
    """Losses and gradients of 6 updates on puzzles."""
    task = Jigsaw(encoder=encoder).to(memory_format=LAYOUTS[encoder.spatial_dims])
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-3)
    seen = []
    for update in range(6):
        torch.manual_seed(update)
        images = torch.rand(3, 1, *[side] * encoder.spatial_dims).half()
        optimizer.zero_grad()
        loss = task.training_step({"image": images}, 0)
        loss.backward()
        optimizer.step()
        seen += [loss.detach(), *(each.grad.clone() for each in task.parameters() if each.grad is not None)]
    return seen


@pytest.mark.slow
@every_encoder
@both_ranks
@pytest.mark.filterwarnings("ignore:.*self.log")
def test_training_on_the_smallest_patches_repeats_bit_by_bit(name: str, dims: int) -> None:
    build = ENCODERS[name]
    # A patch is smaller than its cell by the jitter of 1 voxel.
    side = 3 * (build(dims, 1).minimum_side + 1)
    repeats = []
    for _ in range(2):
        torch.manual_seed(0)
        repeats.append(train(build(dims, 1), side))
    first, second = repeats
    assert all(each.isfinite().all() for each in first)
    assert all(map(torch.equal, first, second))
