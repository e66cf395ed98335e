import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from sslmed.preparation.geometry import Geometry
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.readers.volumes import read_case
from sslmed.preparation.resize import resize

STS_CT = Path(__file__).parents[3] / "shared" / "data" / "Task_STS_CT"

sides = st.tuples(*[st.integers(2, 9)] * 3)


@st.composite
def affines(draw):
    """Any orientation, oblique by up to 30 degrees, with unequal spacing."""
    angles = draw(st.tuples(*[st.floats(-30, 30)] * 3))
    axes = np.eye(3)[draw(st.permutations(range(3)))] * draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ axes
    affine[:3, :3] *= draw(st.tuples(*[st.floats(0.3, 5)] * 3))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return affine


@st.composite
def geometries(draw, finest=2.0):
    """A random crop of a random volume, on a grid from as fine as the volume to `finest` times finer."""
    geometry = Geometry.closest_to_ras(draw(sides), draw(affines()))
    start = tuple(draw(st.integers(0, side - 2)) for side in geometry.stop)
    stop = tuple(draw(st.integers(first + 2, side)) for first, side in zip(start, geometry.stop, strict=True))
    lengths = [last - first for first, last in zip(start, stop, strict=True)]
    grid = tuple(draw(st.integers(length, int(length * finest))) for length in lengths)
    return replace(geometry, start=start, stop=stop, grid=grid)


@given(geometries())
def test_prepared_voxels_lie_where_the_prepared_affine_says(geometry):
    """An image of its own coordinates in mm, resized linearly, holds the coordinates of the prepared grid."""
    image = positions(geometry.affine, geometry.original_shape)
    prepared = geometry.prepare_image(image.astype(np.float32))
    expected = positions(prepared_affine(geometry), geometry.grid)
    # Half a voxel along the rim has no neighbour to interpolate with.
    sources = np.meshgrid(*map(source_positions, crop_shape(geometry), geometry.grid), indexing="ij")
    lengths = np.array(crop_shape(geometry)).reshape(3, 1, 1, 1)
    inside = ((np.stack(sources) >= 0) & (np.stack(sources) <= lengths - 1)).all(axis=0)
    np.testing.assert_allclose(prepared[:, inside], expected[:, inside], atol=1e-2)
    assert nib.aff2axcodes(prepared_affine(geometry)) == ("R", "A", "S")


def prepared_affine(geometry):
    """`(4, 4)`, from prepared voxel indices to mm."""
    to_original = np.zeros((4, 4))
    to_original[-1, -1] = 1
    for prepared, original in enumerate(geometry.axes):
        scale = (geometry.stop[prepared] - geometry.start[prepared]) / geometry.grid[prepared]
        first = geometry.start[prepared] + scale / 2 - 0.5  # voxel centres lie at half-integers of the crop's extent
        if geometry.flips[prepared]:
            scale, first = -scale, geometry.original_shape[original] - 1 - first
        to_original[original, prepared], to_original[original, -1] = scale, first
    return geometry.affine @ to_original


def positions(affine, shape):
    return np.einsum("ab,b...->a...", affine[:3, :3], np.indices(shape)) + affine[:3, 3].reshape(3, 1, 1, 1)


def crop_shape(geometry):
    return [stop - start for start, stop in zip(geometry.start, geometry.stop, strict=True)]


def source_positions(old, new):
    return (np.arange(new) + 0.5) * old / new - 0.5


@given(geometries(), st.integers(0, 2**32))
def test_labels_survive_a_grid_as_fine(geometry, seed):
    labels = np.random.default_rng(seed).integers(0, 4, geometry.original_shape, dtype=np.uint8)
    restored = geometry.restore_labels(geometry.prepare_labels(labels))
    expected = np.zeros_like(labels)
    crop = tuple(map(slice, geometry.start, geometry.stop))
    geometry.orient(expected)[crop] = geometry.orient(labels)[crop]  # outside the crop nothing is known
    np.testing.assert_array_equal(restored, expected)


@given(geometries(finest=1.0), st.integers(0, 2**32))
def test_scores_on_the_volumes_own_grid_give_the_class_of_the_highest(geometry, seed):
    scores = np.random.default_rng(seed).random((3, *geometry.grid), dtype=np.float32)
    expected = geometry.restore_labels(scores.argmax(0))
    np.testing.assert_array_equal(geometry.restore_scores(torch.from_numpy(scores)), expected)


@pytest.mark.parametrize("at_once", [10**9, 1, 300])  # the whole crop, and slabs of one and of a few planes
def test_scores_are_interpolated_linearly(at_once, monkeypatch):
    monkeypatch.setattr("sslmed.preparation.geometry.VOXELS_AT_ONCE", at_once)
    geometry = Geometry.closest_to_ras((13, 9, 10), np.eye(4))
    geometry = replace(geometry, start=(1, 0, 2), grid=(6, 7, 4))
    scores = np.random.default_rng(0).random((4, 6, 7, 4), dtype=np.float32)
    sources = np.meshgrid(*map(source_positions, geometry.grid, crop_shape(geometry)), indexing="ij")
    linear = [ndimage.map_coordinates(score, sources, order=1, mode="nearest") for score in scores]
    expected = np.zeros((13, 9, 10), np.uint8)
    expected[1:, :, 2:] = np.argmax(linear, axis=0)
    np.testing.assert_array_equal(geometry.restore_scores(scores), expected)
    restored = geometry.restore_score(scores[1], outside=0.25)
    np.testing.assert_allclose(restored[1:, :, 2:], linear[1], atol=1e-6)
    assert (restored[0] == 0.25).all()
    assert (restored[:, :, :2] == 0.25).all()


def test_nearest_labels_have_half_voxel_centres():
    labels = np.random.default_rng(0).integers(0, 9, (8, 12, 5), dtype=np.uint8)
    geometry = replace(Geometry.closest_to_ras(labels.shape, np.eye(4)), grid=(4, 5, 7))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(labels)[None, None], size=(4, 5, 7), mode="nearest-exact"
    )
    np.testing.assert_array_equal(geometry.prepare_labels(labels), expected[0, 0].numpy())


@given(geometries())
def test_json_keeps_every_bit(geometry):
    assert Geometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry


def triangle(old, new):
    """Weights `(new, old)` of linear interpolation, whose triangle is as wide as the step where it shrinks."""
    distances = abs(np.arange(old) - source_positions(old, new)[:, None])
    weights = np.maximum(0, 1 - distances / max(1, old / new))
    return weights / weights.sum(axis=1, keepdims=True)


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=2, max_size=3), st.booleans())
def test_resize_averages_with_a_triangle(sizes, fortran):
    old, new = zip(*sizes, strict=True)
    image = np.random.default_rng(0).random((2, *old), dtype=np.float32)
    expected = image.astype(np.float64)
    for axis, (before, after) in enumerate(sizes, start=1):
        expected = np.moveaxis(np.tensordot(triangle(before, after), expected, axes=(1, axis)), 0, axis)
    resized = resize(np.asfortranarray(image) if fortran else image, new)
    np.testing.assert_allclose(resized, expected, atol=1e-5)


@pytest.mark.skipif(not STS_CT.is_dir(), reason="needs the sarcoma CTs in ../shared/data")
def test_real_labels_survive_a_finer_grid():
    dataset = read(STS_CT)
    for case in dataset.cases[::12]:
        image, label = read_case(case, dataset.modalities, (0, 1))
        geometry = Geometry.closest_to_ras(label.voxels.shape, image.affine)
        geometry = replace(geometry, grid=tuple(int(side * 1.3) for side in geometry.grid))
        prepared = geometry.prepare_labels(label.voxels)
        np.testing.assert_array_equal(geometry.restore_labels(prepared), label.voxels)
        assert dice(geometry.restore_scores(np.stack([prepared == 0, prepared == 1])), label.voxels) >= 0.99


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())
