"""How networks are applied to whole images, against sums by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from monai.data.utils import compute_importance_map
from torch import Tensor

from sslmed.downstream.inference import apply_whole, mean_over

CPU = torch.device("cpu")


def _places(images: Tensor) -> Tensor:
    """A network whose answer depends on where in its image a voxel lies, `(B, 2, *spatial)`."""
    ramp = torch.arange(images.shape[2], dtype=torch.float32, device=images.device).reshape(
        -1, *[1] * (images.ndim - 3)
    )
    return torch.cat([images + ramp, images * ramp], dim=1)


@pytest.mark.parametrize("apart", [False, True])  # images on another device get their results in slabs
@pytest.mark.parametrize("sides", [(16, 9, 8), (5, 12, 8)])
def test_windows_overlap_by_half_and_count_with_a_gaussian_weight(
    sides: tuple[int, ...], apart: bool, device: torch.device
) -> None:
    images, window = torch.rand(2, 1, *sides), (8, 8, 8)
    padded = [max(side, 8) for side in sides]
    before = [(whole - side) // 2 for whole, side in zip(padded, sides, strict=True)]
    inner = tuple(slice(first, first + side) for first, side in zip(before, sides, strict=True))
    whole = torch.zeros(2, 1, *padded)
    whole[(..., *inner)] = images
    total, weights = torch.zeros(2, 2, *padded), torch.zeros(padded)
    weight = compute_importance_map(window, mode="gaussian", sigma_scale=0.125)
    starts = [sorted({*range(0, side - 8, 4), side - 8}) for side in padded]
    for start in product(*starts):
        place = tuple(slice(first, first + 8) for first in start)
        total[(..., *place)] += weight * _places(whole[(..., *place)])
        weights[place] += weight
    expected = (total / weights)[(..., *inner)]
    network_on, given = (torch.device(device.type, 0), images) if apart else (device, images.to(device))
    answers = apply_whole(_places, given, 3, window=window, device=network_on).cpu()
    torch.testing.assert_close(answers, expected, atol=1e-4, rtol=0)
    assert (answers - _places(images)).abs().max() > 1


def test_without_a_window_a_network_sees_the_whole_image_once() -> None:
    seen = []
    images = torch.rand(2, 1, 6, 5, 4)
    answers = apply_whole(lambda each: seen.append(each) or each, images, 3, window=None, device=CPU)
    assert torch.equal(answers, images)
    assert [each.shape for each in seen] == [images.shape]


@pytest.mark.parametrize("window", [None, (4, 4)])
def test_slices_of_large_volumes_come_in_batches(window: tuple[int, ...] | None, monkeypatch) -> None:
    monkeypatch.setattr("sslmed.downstream.inference.SLICES_AT_ONCE", 3)
    volumes = torch.rand(2, 1, 6, 5, 8)
    answers = apply_whole(_places, volumes, 2, window=window, device=CPU)
    one_by_one = [apply_whole(_places, volumes[..., k], 2, window=window, device=CPU) for k in range(8)]
    torch.testing.assert_close(answers, torch.stack(one_by_one, dim=-1))


@pytest.mark.parametrize("dims", [2, 3])
def test_the_mean_over_networks_and_flips(dims: int) -> None:
    images = torch.rand(2, 1, *(6, 5, 4)[:dims])
    networks = [_places, lambda each: -2 * _places(each)]
    expected = []
    for network, flips in product(networks, product([False, True], repeat=dims)):
        axes = tuple(2 + axis for axis in range(dims) if flips[axis])
        flipped = torch.from_numpy(np.flip(images.numpy(), axes).copy())
        expected.append(np.flip(network(flipped).numpy(), axes))
    averaged = mean_over(networks, dims, flips=True)(images)
    np.testing.assert_allclose(averaged, np.mean(expected, axis=0), atol=1e-5)
    pooled = mean_over([lambda each: each.flatten(1)[:, :3]], dims, flips=True)(images)  # answers without axes
    assert pooled.shape == (2, 3)
    alone = mean_over(networks[:1], dims, flips=False)
    assert torch.equal(alone(images), _places(images))
