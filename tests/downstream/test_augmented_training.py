"""Training sees augmented images, with labels that fit them, where a task is told to augment; nothing else does."""

import pytest
import torch

from sslmed.downstream import Classification, Regression, Segmentation
from sslmed.downstream.base import DownstreamTask
from sslmed.encoders import UNetEncoder
from sslmed.learning.augmentation import RandomAffine, RandomIntensity

FLIPPED = {"affine": RandomAffine(flip=1.0)}
FLATTER = {"intensity": RandomIntensity(probability=1.0, brightness=0.0, contrast=(0.5, 0.5))}
IMAGES = torch.rand(3, 1, 8, 6, generator=torch.Generator().manual_seed(0)) * torch.linspace(0, 1, 6)
LABELS = {
    Segmentation: (IMAGES[:, 0] > 0.3).byte(),
    Classification: torch.tensor([0, 1, 1]),
    Regression: torch.tensor([0.5, -1.0, 2.0]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_the_loss_is_of_the_augmented_batch(kind: type[DownstreamTask]) -> None:
    def loss(images: torch.Tensor, labels: torch.Tensor, **options: object) -> float:
        torch.manual_seed(0)
        task = kind(UNetEncoder(2, 1, (4, 8), dropout=0.0), **options)  # type: ignore[arg-type]
        return task.eval().training_loss({"image": images, "label": labels}).item()

    images, labels = IMAGES, LABELS[kind]
    plain = loss(images, labels)
    moved = labels.flip(1, 2) if kind is Segmentation else labels
    mean = images.mean((1, 2, 3), keepdim=True)
    for options, expected in ((FLIPPED, (images.flip(2, 3), moved)), (FLATTER, ((images + mean) / 2, labels))):
        found = loss(images, labels, **options)
        assert found == pytest.approx(loss(*expected), rel=1e-4)
        assert found != pytest.approx(plain, rel=1e-4)
