import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.learning.augmentation import RandomAffine, RandomIntensity
from sslmed.pretext import Exemplar
from sslmed.pretext.exemplar import triplet_loss

UNCHANGED = {"affine": RandomAffine(flip=0), "intensity": RandomIntensity(probability=0)}


@pytest.mark.parametrize("shape", [(9, 11), (7, 8, 9)])
@pytest.mark.parametrize("channels", [1, 2])
def test_triplets(shape, channels):
    task = Exemplar(UNetEncoder(len(shape), channels, widths=(2, 4)))
    images = torch.rand(4, channels, *shape)
    shifts = set()
    for seed in range(20):
        triplets, targets = task.make_task(images, torch.Generator().manual_seed(seed))
        anchors, positives, negatives = triplets.unbind(1)
        assert targets is None
        assert triplets.shape == (4, 3, channels, *shape)
        assert torch.equal(positives, images)
        assert not torch.isclose(anchors, images).flatten(1).all(1).all()
        origin = [next(i for i in range(4) if torch.equal(negative, images[i])) for negative in negatives]
        assert sorted(origin) == [0, 1, 2, 3]
        assert all(index != i for i, index in enumerate(origin))
        shifts.add(origin[0])
    assert shifts == {1, 2, 3}


def test_without_augmentation_the_anchor_is_the_positive():
    task = Exemplar(UNetEncoder(3, 1, widths=(2, 4)), **UNCHANGED)
    triplets, _ = task.make_task(torch.rand(2, 1, 5, 6, 7))
    torch.testing.assert_close(triplets[:, 0], triplets[:, 1], atol=1e-5, rtol=0)


def test_triplet_loss_by_hand():
    embeddings = np.random.default_rng(0).normal(size=(6, 3, 4))
    expected = 0.0
    for anchor, positive, negative in embeddings:
        near = np.sqrt(((anchor - positive) ** 2).sum())
        far = np.sqrt(((anchor - negative) ** 2).sum())
        expected += max(0.0, near - far + 0.7) / len(embeddings)
    tensor = torch.tensor(embeddings)
    assert triplet_loss(tensor, 0.7).item() == pytest.approx(expected, abs=1e-4)
    for wrong_order in ([0, 2, 1], [1, 0, 2], [2, 1, 0]):
        assert triplet_loss(tensor[:, wrong_order], 0.7).item() != pytest.approx(expected, abs=1e-3)


def test_embeddings_have_length_one_and_one_head():
    task = Exemplar(UNetEncoder(2, 1, widths=(2, 4)), embedding_size=5).eval()
    image = torch.rand(1, 1, 8, 8)
    embeddings = task(image.expand(2, 3, 1, 8, 8))
    assert embeddings.shape == (2, 3, 5)
    torch.testing.assert_close(embeddings.norm(dim=2), torch.ones(2, 3))
    torch.testing.assert_close(embeddings, embeddings[:1, :1].expand(2, 3, 5))


def test_measures_tell_collapse_from_order():
    task = Exemplar(UNetEncoder(2, 1, widths=(2, 4)))
    equal = torch.ones(4, 3, 4) / 2
    axes = torch.eye(4)
    apart = torch.stack((axes, axes, axes.roll(1, 0)), dim=1)
    collapsed, ordered, reversed_ = (task.measures(each) for each in (equal, apart, apart[:, [0, 2, 1]]))
    assert (collapsed["accuracy"], collapsed["embedding_std"]) == (0, 0)
    assert ordered["accuracy"] == 1
    assert ordered["embedding_std"] == pytest.approx(1)
    assert reversed_["accuracy"] == 0
