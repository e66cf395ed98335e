"""The abdomen phantom is like a CT of one, of patients who differ."""

from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from sslmed.phantoms.abdomen import PANCREAS, TUMOUR, draw_patient, sample_patient


@pytest.fixture(scope="module")
def population():
    """HU, labels and affine of some patients."""
    generators = [np.random.default_rng([1, i]) for i in range(24)]
    return [draw_patient(sample_patient(rng), (48, 48, 24), rng) for rng in generators]


def test_the_same_patient_is_seen_at_any_resolution():
    def scan(size):
        rng = np.random.default_rng(5)
        hu, _, affine = draw_patient(sample_patient(rng), size, rng)
        return hu.astype(float), affine

    (coarse, coarse_affine), (fine, fine_affine) = scan((32, 32, 16)), scan((64, 64, 32))
    inner = np.stack(np.meshgrid(*(np.arange(4, side - 4) for side in coarse.shape), indexing="ij"), axis=-1)
    in_fine = nib.affines.apply_affine(np.linalg.inv(fine_affine) @ coarse_affine, inner)
    expected = RegularGridInterpolator(tuple(map(np.arange, fine.shape)), fine)(in_fine)
    assert np.corrcoef(coarse[4:-4, 4:-4, 4:-4].ravel(), expected.ravel())[0, 1] > 0.95


def test_anatomy_is_plausible(population):
    """Bounds are wide: they are about the dataset being what its description says, not about these numbers."""
    shares, tumours = [], []
    for hu, labels, _ in population:
        body = hu > -175
        assert 0.25 < body.mean() < 0.75  # and hence air around
        edges = (hu[0], hu[-1], hu[:, 0], hu[:, -1])
        assert all((edge > -175).mean() < 0.1 for edge in edges)  # the field of view holds the body
        assert body[:, :, 0].any() and body[:, :, -1].any()  # noqa: PT018 - which goes through it
        assert (hu > 250).mean() > 0.005  # bones
        assert abs(np.median(hu[labels == PANCREAS]) - 100) < 50
        shares.append((labels > 0).sum() / body.sum())
        if (labels == TUMOUR).any():
            tumours.append((labels == TUMOUR).sum() / (labels > 0).sum())
            assert np.median(hu[labels == TUMOUR]) < np.median(hu[labels == PANCREAS]) - 25
    assert 0.03 < np.mean(shares) < 0.07
    assert 0.5 < len(tumours) / len(population) < 1
    assert 0.15 < np.mean(tumours) < 0.35


def test_geometry_varies(population):
    affines = [affine for *_, affine in population]
    orientations = {nib.aff2axcodes(affine) for affine in affines}
    spacings = np.array([nib.affines.voxel_sizes(affine) for affine in affines])
    oblique = [not np.isclose(nib.affines.obliquity(affine), 0).all() for affine in affines]
    assert len(orientations) > 2
    assert (spacings.std(axis=0) > 0.1).all()
    assert any(oblique)
    assert not all(oblique)
    for (one, *_), (other, *_) in pairwise(population):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.99
