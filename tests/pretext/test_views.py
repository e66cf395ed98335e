import numpy as np
import pytest
import torch
from scipy import ndimage

from sslmed.core.errors import InputError
from sslmed.learning.augmentation import RandomIntensity
from sslmed.pretext.views import RandomViews, random_views, resized_crops

SHAPES = [(9, 12), (6, 8, 10)]
CPU = torch.device("cpu")


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
def test_crops_agree_with_scipy_and_lie_within_the_image(shape):
    images = torch.rand(20, 2, *shape)
    corners, extents = RandomViews(crop=(0.3, 1.0), flip=0.5).sample(20, shape, CPU, _seeded())
    ends = corners + extents
    assert (torch.minimum(corners, ends) >= -1e-5).all()
    assert (torch.maximum(corners, ends) <= torch.tensor(shape) + 1e-5).all()
    assert 0.2 < (extents < 0).float().mean() < 0.8
    fractions = (extents.abs() / torch.tensor(shape)).numpy()
    np.testing.assert_allclose(fractions, fractions[:, :1].repeat(len(shape), 1), rtol=1e-5)  # as the image
    for image, corner, extent, crop in zip(
        images, corners, extents, resized_crops(images, corners, extents), strict=True
    ):
        axes = [
            start + (np.arange(side) + 0.5) / side * length - 0.5
            for start, length, side in zip(corner.numpy(), extent.numpy(), shape, strict=True)
        ]
        where = np.stack(np.meshgrid(*axes, indexing="ij"))
        for channel, got in zip(image.numpy(), crop.numpy(), strict=True):
            np.testing.assert_allclose(got, ndimage.map_coordinates(channel, where, order=1, mode="nearest"), atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_image_is_a_crop_and_a_negative_extent_flips_it(shape):
    images = torch.rand(2, 3, *shape)
    whole = torch.tensor([shape] * 2).float()
    torch.testing.assert_close(resized_crops(images, torch.zeros_like(whole), whole), images, atol=1e-5, rtol=0)
    flipped = resized_crops(images, whole, -whole)
    torch.testing.assert_close(flipped, images.flip(tuple(range(2, images.ndim))), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_views_are_of_their_image_and_differ(shape):
    level = torch.arange(1, 5).reshape(4, *(1,) * (len(shape) + 1)) / 10
    images = level.expand(4, 2, *shape) + 0.01 * torch.rand(4, 2, *shape)
    unchanged = RandomIntensity(probability=0)
    views = random_views(images.half(), 2, RandomViews(intensity=unchanged), _seeded())
    assert views.shape == (4, 2, 2, *shape)
    assert views.dtype == torch.float16
    np.testing.assert_allclose(
        views.float().flatten(2).mean(2), level.flatten()[:, None].expand(4, 2) + 0.005, atol=3e-3
    )
    assert not torch.equal(views[:, 0], views[:, 1])
    brighter = random_views(images, 2, RandomViews(intensity=RandomIntensity(1, 0.2, (1, 1))), _seeded())
    assert (brighter.flatten(2).mean(2) - level.flatten()[:, None]).abs().amax() > 0.05


@pytest.mark.parametrize("crop", [(0.0, 1.0), (0.8, 0.5), (0.5, 1.1)])
def test_impossible_crops_are_refused(crop):
    with pytest.raises(InputError, match="crop must be two fractions"):
        RandomViews(crop=crop)
