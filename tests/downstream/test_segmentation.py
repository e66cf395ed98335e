from itertools import pairwise

import numpy as np
import pytest
import torch

from sslmed.downstream import Segmentation
from sslmed.downstream.decoder import UNetDecoder
from sslmed.encoders import UNetEncoder


def _task(dims: int = 3, **options: object) -> Segmentation:
    torch.manual_seed(0)
    encoder = UNetEncoder(dims, 1, (4, 8, 8), dropout=0.0)
    return Segmentation(encoder, label_values=(0, 1, 2), dropout=0.0, **options)


@pytest.mark.parametrize("dims", [2, 3])
def test_logits_have_the_images_size_and_other_sides_are_refused(dims: int) -> None:
    task = _task(dims)
    sides = (8, 12, 4)[:dims]
    assert task(torch.rand(2, 1, *sides)).shape == (2, 3, *sides)
    with pytest.raises(ValueError, match=r"2 poolings needs sides that 4 divides, got \(10"):
        task(torch.rand(2, 1, 10, *sides[1:]))


def test_the_paper_network_has_its_published_number_of_parameters() -> None:
    # Convolutions by hand: 27 ab + b weights each, two per level, both ways; transposed 8 ab + b; batch norms 2 b each.
    widths = (16, 32, 64, 128, 256)
    block = lambda a, b: 27 * a * b + b + 27 * b * b + b + 4 * b  # noqa: E731
    down = sum(block(a, b) for a, b in zip((1, *widths), widths, strict=False))
    up = sum(8 * b * a + a + block(2 * a, a) for a, b in pairwise(widths))
    encoder = UNetEncoder()
    network = torch.nn.ModuleList([encoder, UNetDecoder(encoder, 3)])
    assert sum(p.numel() for p in network.parameters()) == down + up + 16 * 3 + 3


def test_the_default_loss_is_dice_plus_cross_entropy() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2, 3, 2, 3, 4))
    labels = generator.integers(0, 3, size=(2, 1, 2, 3, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    one_hot = np.moveaxis(np.eye(3)[labels[:, 0]], -1, 1)
    space = (2, 3, 4)
    overlap = (probabilities * one_hot).sum(space)
    dice = 1 - (2 * overlap + 1e-5) / (probabilities.sum(space) + one_hot.sum(space) + 1e-5)
    cross_entropy = -np.log((probabilities * one_hot).sum(1)).mean()
    loss = _task().segmentation_loss(torch.tensor(logits), torch.tensor(labels))
    assert loss.item() == pytest.approx(dice.mean() + cross_entropy, abs=1e-6)


def test_freezing_stops_gradients_and_leaves_batch_norm_statistics_untouched() -> None:
    task = _task()
    before = {key: value.clone() for key, value in task.encoder.state_dict().items()}
    task.freeze_encoder(True)
    task.train()
    task(torch.rand(2, 1, 8, 8, 8)).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in task.encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in task.encoder.parameters())
    assert all(parameter.grad is not None for parameter in task.decoder.parameters())
    task.freeze_encoder(False)
    task(torch.rand(2, 1, 8, 8, 8)).sum().backward()
    changed = [key for key, value in task.encoder.state_dict().items() if not torch.equal(value, before[key])]
    assert any("running_mean" in key for key in changed)
    assert all(parameter.grad is not None for parameter in task.encoder.parameters())


def test_augmentation_moves_image_and_label_alike() -> None:
    from sslmed.transforms import RandomAffine, RandomIntensity

    task = _task(affine=RandomAffine(flip=0.5, quarter_turns=1.0), intensity=RandomIntensity(probability=0.0))
    labels = torch.randint(0, 3, (4, 1, 8, 8, 8), dtype=torch.uint8)
    images, moved = task.augment(labels.float() / 2, labels)
    assert not torch.equal(moved, labels)
    assert torch.allclose(images * 2, moved.float(), atol=1e-3)


def test_it_overfits_one_batch() -> None:
    task = _task().train()
    generator = torch.Generator().manual_seed(1)
    labels = torch.zeros(2, 1, 8, 8, 8, dtype=torch.uint8)
    labels[:, :, 2:6, 2:6, 1:4], labels[:, :, 2:6, 2:6, 4:7] = 1, 2
    images = labels / 2 + 0.1 * torch.rand(labels.shape, generator=generator)
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = task.segmentation_loss(task(images), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
    assert (task(images).argmax(1) == labels[:, 0]).float().mean() > 0.98
