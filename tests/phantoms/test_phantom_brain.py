"""The brain phantom is like a skull-stripped MRI of a glioma, in four channels."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from sslmed.phantoms.brain import CORE_LABEL, EDEMA_LABEL, FIELD_OF_VIEW, RIM_LABEL, draw_head
from sslmed.phantoms.head import sample_head

FLAIR, T1, T1GD, T2 = range(4)
SIZE = (48, 48, 36)


def scan(number, size=SIZE):
    rng = np.random.default_rng([2, number])
    return draw_head(sample_head(rng), size, rng)


@pytest.fixture(scope="module")
def population():
    """Image, labels and affine of some heads."""
    return [scan(number) for number in range(12)]


def medians(image, where):
    return np.median(image[where], axis=0)


def test_background_is_zero_and_the_brain_is_not(population):
    for image, labels, affine in population:
        brain = (image > 0).all(axis=-1)
        assert (brain == (image > 0).any(axis=-1)).all()  # as one mask strips all channels
        assert 0.2 < brain.mean() < 0.35
        _, parts = label(brain)
        assert parts == 1
        assert not any(face.any() for face in (brain[0], brain[-1], brain[:, 0], brain[:, -1], brain[:, :, -1]))
        assert brain[labels > 0].all()
        np.testing.assert_allclose(np.diag(affine), [*FIELD_OF_VIEW / SIZE * (-1, -1, 1), 1])
        np.testing.assert_allclose(affine @ [*(np.array(SIZE) - 1) / 2, 1], [0, 0, 0, 1], atol=1e-9)


def test_each_channel_has_its_contrast(population):
    """Brightness varies by case, hence of the median case."""
    ratios = []
    for image, labels, _ in population:
        healthy = medians(image, (image > 0).all(axis=-1) & ~binary_dilation(labels > 0, iterations=2))
        edema, core, rim = (medians(image, labels == value) / healthy for value in (EDEMA_LABEL, CORE_LABEL, RIM_LABEL))
        fluid = medians(image, (image[..., T2] > np.quantile(image[..., T2], 0.99)) & (labels == 0)) / healthy
        ratios.append((edema, core, rim, fluid))
    edema, core, rim, fluid = np.median(ratios, axis=0)
    assert edema[FLAIR] > 1.3
    assert edema[T2] > 1.3
    assert max(edema[T1], core[T1], rim[T1]) < 0.9  # a glioma is dark in T1
    assert rim[T1GD] > 1.2
    assert core[T1GD] < 0.8
    assert fluid[FLAIR] < 0.8
    assert fluid[T1] < 0.6
    assert fluid[T2] > 1.5


def test_edema_surrounds_a_rim_around_the_core(population):
    rims, shares = [], []
    for image, labels, _ in population:
        core, rim = labels == CORE_LABEL, labels == RIM_LABEL
        shell = binary_dilation(core) & ~core
        rims.append((shell & rim).sum() / shell.sum())
        around = binary_dilation(rim | core) & ~rim & ~core & (image > 0).all(axis=-1)
        assert (labels[around] == EDEMA_LABEL).mean() > 0.5
        brain = (image > 0).all(axis=-1).sum()
        shares.append([(labels == value).sum() / brain for value in (EDEMA_LABEL, CORE_LABEL, RIM_LABEL)])
    assert np.mean(rims) > 0.6
    assert min(rims) < 0.95  # some rims have gaps
    assert (np.min(shares, axis=0)[[0, 2]] > 0.005).all()  # nobody is without a class that is scored
    assert (np.abs(np.mean(shares, axis=0) - [0.1, 0.03, 0.05]) < [0.06, 0.025, 0.03]).all()


def test_edema_spares_the_ventricles(population):
    """What is as dark as fluid in FLAIR is not labelled edema."""
    for image, labels, _ in population:
        flair = image[..., FLAIR] / np.median(image[..., FLAIR][image[..., FLAIR] > 0])
        assert (flair[labels == EDEMA_LABEL] < 0.5).mean() < 0.03


def test_heads_differ_and_are_the_same_at_any_resolution(population):
    for (one, *_), (other, *_) in pairwise(population):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.97
    fine, fine_labels, _ = scan(0, tuple(2 * side for side in SIZE))
    pooled = fine.reshape(48, 2, 48, 2, 36, 2, 4).mean(axis=(1, 3, 5))
    image, labels, _ = population[0]
    assert np.corrcoef(pooled.ravel(), image.ravel())[0, 1] > 0.95
    shares = [[(array == value).mean() for value in range(4)] for array in (labels, fine_labels)]
    np.testing.assert_allclose(*shares, rtol=0.15)
