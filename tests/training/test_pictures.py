"""Pictures, pixel by pixel, without a network and without W&B."""

import numpy as np
import pytest

from sslmed.training.pictures import GAP, GAP_COLOUR, draw_confusion, draw_puzzle, draw_segmentation

SIDE = 96  # nothing is enlarged


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_a_photograph_keeps_its_colours_and_a_volume_is_seen_from_below_with_the_front_above() -> None:
    photograph = _random(3, SIDE, 120)
    picture = draw_puzzle(photograph, photograph)
    np.testing.assert_array_equal(picture[:, :120], (photograph.transpose(1, 2, 0) * 255).round())
    volume = np.zeros((1, 100, SIDE, 5), np.float32)
    volume[:, 79, -1, 2] = 1  # the 21st voxel from the patient's right, frontmost, in the middle slice
    picture = draw_puzzle(volume, volume)
    assert picture.shape == (SIDE, 100 + GAP + 100, 3)
    assert np.argwhere(picture[:, :100, 0]).tolist() == [[0, 20]]
    np.testing.assert_array_equal(draw_puzzle(volume[..., 2], volume[..., 2], of_volume=True), picture)


def test_what_lies_side_by_side_has_a_gap_between_and_its_own_size() -> None:
    image, patches = _random(1, SIDE, SIDE), _random(2, 1, 32, 32)
    picture = draw_puzzle(image, patches)[..., 0]
    assert picture.shape == (SIDE, SIDE + 2 * (GAP + 32))
    np.testing.assert_array_equal(picture[32:64, SIDE + GAP :][:, :32], (patches[0, 0] * 255).round())
    np.testing.assert_array_equal(picture[32:64, -32:], (patches[1, 0] * 255).round())
    assert (picture[:, SIDE : SIDE + GAP] == GAP_COLOUR).all()


@pytest.mark.parametrize("side", [2, 29])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_patches_of_a_grid_are_laid_out_row_major(dims: int, side: int) -> None:
    grid = 3
    patches = np.stack([np.full((1, *[side] * dims), index / 100, np.float32) for index in range(grid**dims)])
    picture = draw_puzzle(np.zeros((1, *[SIDE] * dims), np.float32), patches)[..., 0][:, SIDE + GAP :]
    top = (SIDE - grid * (side + GAP)) // 2  # pictures of a row are centred
    left = GAP if dims == 3 else 0  # slices are turned, and so are their gaps
    top += left
    levels = np.split(np.pad(picture, [(0, 0), (0, GAP)]), grid ** (dims - 2), axis=1)
    for level, shown in enumerate(levels):
        for row in range(grid):
            for column in range(grid):
                # An axial slice is turned: its first axis runs to the left, its second one upwards.
                cell = (grid - 1 - column, grid - 1 - row, level) if dims == 3 else (row, column)
                expected = round(np.ravel_multi_index(cell, [grid] * dims) * 2.55)
                corner = (top + row * (side + GAP), left + column * (side + GAP))
                assert (shown[corner[0] :, corner[1] :][:side, :side] == expected).all()


def test_a_segmentation_is_shown_where_most_of_it_is_and_coloured_by_class() -> None:
    truth = np.zeros((SIDE, SIDE, 4), np.uint8)
    truth[:50, :, 3], truth[0, 0, 1] = 2, 1
    picture = draw_segmentation(np.zeros((1, *truth.shape), np.float32), truth, np.zeros_like(truth))
    image, true, predicted = (picture[:, start : start + SIDE] for start in range(0, 3 * SIDE, SIDE + GAP))
    assert not image.any()
    assert not predicted.any()
    assert true[:, -50:].any(axis=-1).all()
    assert not true[:, :-50].any()
    assert (true[:, -50:] == true[0, -1]).all()
    other = draw_segmentation(np.zeros((1, *truth.shape), np.float32), truth // 2, truth)
    assert (other[0, SIDE + GAP + SIDE - 1] != true[0, -1]).any()


def test_small_images_are_enlarged_without_blur() -> None:
    image = _random(1, 12, 12)
    picture = draw_puzzle(image, image)
    assert picture.shape == (96, 8 * (24 + GAP), 3)
    np.testing.assert_array_equal(picture[::8, : 8 * 12 : 8, 0], (image[0] * 255).round())


def test_confusions_are_counted_with_the_truth_in_rows() -> None:
    picture = draw_confusion(np.zeros(5, int), np.ones(5, int), 2)
    assert picture.shape == (400, 400, 3)
    upper_right, lower_left = picture[20:150, 240:370], picture[190:320, 70:200]
    assert upper_right.mean() < lower_left.mean() - 100  # dark where there are cases
    np.testing.assert_array_equal(draw_confusion(np.array([1]), np.array([1]), 2)[0, 0], [255] * 3)
