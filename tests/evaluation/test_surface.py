"""Surface distances against scipy's distance transform, MONAI's own scores, and numbers by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import binary_erosion, distance_transform_edt

from sslmed.evaluation.surface import surface_row

SPACING = (0.5, 1.0, 2.5)
maps = arrays(np.uint8, (4, 5, 3), elements=st.sampled_from([0, 0, 0, 1, 2]))


def by_scipy(predicted, true, tolerance):
    """Distances of the voxels of either surface to the other, read off a distance transform of the whole volume."""
    surfaces = [mask & ~binary_erosion(mask) for mask in (predicted, true)]
    distances = [distance_transform_edt(~other, sampling=SPACING)[one] for one, other in (surfaces, surfaces[::-1])]
    return np.mean(np.concatenate(distances) <= tolerance), max(np.percentile(each, 95) for each in distances)


def block(*corner, shape=(9, 9, 9)):
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(start, start + 3) for start in corner)] = 1
    return labels


@settings(max_examples=50, deadline=None)
@given(prediction=maps, truth=maps, tolerance=st.sampled_from([0.0, 0.6, 1.2, 3.0]))
def test_scores_are_scipys_and_absent_classes_have_their_rules(prediction, truth, tolerance):
    row = surface_row(prediction, truth, (0, 4, 9), SPACING, tolerance=tolerance)
    diagonal = np.sqrt(2.0**2 + 5.0**2 + 7.5**2)
    expected = []
    for index, value in ((1, 4), (2, 9)):
        predicted, true = prediction == index, truth == index
        if predicted.any() and true.any():
            expected.append(by_scipy(predicted, true, tolerance))
        else:
            expected.append((0, diagonal) if predicted.any() or true.any() else (1, 0))
        assert (row[f"nsd_class_{value}"], row[f"hd95_class_{value}"]) == pytest.approx(expected[-1])
    assert (row["nsd_foreground"], row["hd95_foreground"]) == pytest.approx(tuple(np.mean(expected, axis=0)))
    assert len(row) == 6


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy")
def test_scores_are_those_of_monais_functions():
    truth, prediction = block(1, 1, 1) | block(0, 5, 5), block(2, 1, 2)
    row = surface_row(prediction, truth, (0, 1), SPACING, tolerance=1.0)
    masks = [torch.from_numpy(labels == 1)[None, None] for labels in (prediction, truth)]
    options = {"include_background": True, "spacing": SPACING}
    assert row["nsd_class_1"] == pytest.approx(compute_surface_dice(*masks, [1.0], **options).item())
    assert row["hd95_class_1"] == pytest.approx(compute_hausdorff_distance(*masks, percentile=95, **options).item())


def test_a_shifted_block_is_off_by_the_shift_in_millimetres():
    # Of 26 surface voxels each, the layer of 9 that sticks out is 2.5 mm off; all others are 0.5 mm off or less.
    off = surface_row(block(3, 3, 4), block(3, 3, 3), (0, 1), SPACING, tolerance=2.0)
    assert off["hd95_foreground"] == 2.5
    assert off["nsd_foreground"] == pytest.approx(1 - 9 / 26)
    within = surface_row(block(3, 3, 4), block(3, 3, 3), (0, 1), SPACING, tolerance=2.5)
    assert within["nsd_foreground"] == 1
