import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.learning.augmentation import RandomAffine
from sslmed.pretext import Rotation
from sslmed.pretext.rotation import turn

# Class -> (quarter turns, plane), as the authors' code was found to turn.
MEANINGS = {
    2: {0: (0, (0, 1)), 1: (1, (0, 1)), 2: (2, (0, 1)), 3: (3, (0, 1))},
    3: {
        0: (0, (0, 1)),
        1: (1, (0, 1)),
        2: (2, (0, 1)),
        3: (3, (0, 1)),
        4: (3, (1, 2)),
        5: (2, (1, 2)),
        6: (1, (1, 2)),
        7: (3, (0, 2)),
        8: (2, (0, 2)),
        9: (1, (0, 2)),
    },
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_classes_mean_what_they_mean_in_the_paper(spatial_dims, channels, device):
    task = Rotation(UNetEncoder(spatial_dims, channels, widths=(2, 4)))
    images = torch.rand(80, channels, *(5,) * spatial_dims)
    turned, targets = task.make_task(images.to(device), torch.Generator(device).manual_seed(0))
    assert turned.shape == images.shape
    assert set(targets.tolist()) == set(MEANINGS[spatial_dims])
    for image, got, target in zip(images.numpy(), turned.cpu().numpy(), targets.tolist(), strict=True):
        quarters, plane = MEANINGS[spatial_dims][target]
        assert np.array_equal(got, [np.rot90(channel, quarters, plane) for channel in image])


def test_classes_are_equally_likely():
    task = Rotation(UNetEncoder(3, 1, widths=(2, 4)))
    _, targets = task.make_task(torch.zeros(5000, 1, 1, 1, 1), torch.Generator().manual_seed(0))
    assert targets.bincount().sub(500).abs().max() < 100  # 4.7 standard deviations


@pytest.mark.parametrize("shape", [(8, 9), (8, 8, 11)])
def test_of_unequal_sides_the_middle_is_turned(shape):
    task, images = Rotation(UNetEncoder(len(shape), 1, widths=(2, 4))), torch.rand(9, 1, *shape)
    turned, targets = task.make_task(images)
    middle = {9: slice(0, 8), 11: slice(1, 9)}[shape[-1]]
    assert torch.equal(turned, turn(images[..., middle], targets, task.tables))


def test_half_precision_stays_so_until_the_encoder():
    task = Rotation(UNetEncoder(3, 1, widths=(2, 4)))
    turned, _ = task.make_task(torch.rand(2, 1, 6, 6, 6).half())
    assert turned.dtype == torch.float16
    assert task(turned).dtype == torch.float32


def test_a_zoom_comes_before_the_turn_and_leaves_the_classes_alone():
    zoom = RandomAffine(flip=0.0, zoom=1.0, max_zoom=0.15)
    task = Rotation(UNetEncoder(2, 1, widths=(2, 4)), affine=zoom)
    ramp = torch.linspace(0, 1, 9)[:, None].expand(16, 1, 9, 9)  # rises along the first axis
    turned, targets = task.make_task(ramp, torch.Generator().manual_seed(0))
    for image, target in zip(turned[:, 0], targets.tolist(), strict=True):
        back = torch.rot90(image, -target, (0, 1))[2:-2, 4]
        assert (back.diff() > 0).all()
    assert turned.unique(dim=0).shape[0] == 16
