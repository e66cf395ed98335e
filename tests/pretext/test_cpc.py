import itertools

import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.pretext import CPC
from sslmed.pretext.cpc import binary_cross_entropy, context_cells, future_cells, info_nce


def tiny(spatial_dims: int = 3, channels: int = 1, widths=(2, 4), **arguments) -> CPC:
    return CPC(UNetEncoder(spatial_dims, channels, widths=widths), embedding_size=6, context_size=5, **arguments)


@pytest.mark.parametrize(
    ("spatial_dims", "arguments", "side", "layout"),
    [
        (3, {}, 128, (120, 30, 30, 26)),  # 121 voxels are four times 30; 7/8 of a patch
        (2, {"image_fraction": 1.0, "patch_fraction": 11 / 12}, 224, (222, 37, 74, 67)),  # the published sizes
        (3, {"widths": (2, 2, 2, 2)}, 32, (32, 8, 8, 8)),  # cropping would leave less than the encoder takes
        (3, {"widths": (2, 2, 2, 2), "overlap": True}, 32, (30, 6, 12, 10)),
        (2, {"widths": (2, 2, 2, 2)}, 25, (24, 4, 8, 8)),
    ],
)
def test_layout(spatial_dims, arguments, side, layout):
    assert tiny(spatial_dims, **arguments).layout(side) == layout


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("shape", "overlap"), [((41, 48), True), ((41, 48), False), ((26, 28, 33), False), ((26, 28, 33), True)]
)
def test_patches_lie_in_their_cells(shape, overlap, channels):
    dims = len(shape)
    task = tiny(dims, channels, overlap=overlap)
    # Every voxel's value is its own number, so that a patch tells where it is from.
    image = np.arange(channels * np.prod(shape), dtype=np.float32).reshape(channels, *shape)
    patches, targets = task.make_task(torch.tensor(image).expand(20, *image.shape), torch.Generator().manual_seed(0))
    covered, step, cell, patch = np.array([task.layout(side) for side in shape]).T
    assert targets is None
    assert patches.shape == (20, task.grid**dims, channels, *patch)
    cells = np.array(list(itertools.product(range(task.grid), repeat=dims)))
    flips, determined, grid_origins = [], [], []
    for case in patches.numpy():
        origins = np.array([np.unravel_index(int(got.min()), shape) for got in case])
        for got, origin in zip(case, origins, strict=True):
            window = tuple(slice(start, start + side) for start, side in zip(origin, patch, strict=True))
            expected = image[(slice(None), *window)]
            flips.append(np.array_equal(got, expected[:, ::-1]))
            assert flips[-1] or np.array_equal(got, expected)
        # There must be one origin of the grid within the image that puts all patches into their cells.
        latest = (origins - cells * step).min(0)
        earliest = (origins - cells * step - (cell - patch)).max(0)
        assert (earliest <= latest).all()
        assert (latest >= 0).all()
        assert (earliest <= np.array(shape) - covered).all()
        determined.append(earliest == latest)
        grid_origins.append(earliest)
    assert 0.4 < np.mean(flips) < 0.6
    assert np.mean(determined) > 0.9  # as every patch has a place of its own within its cell
    assert (np.max(grid_origins, axis=0) > 0).all()


def test_context_is_an_inverted_pyramid():
    # 2-D, by hand: the cells left, at and right of the column in row 0, mirrored at the border; its own in row 1.
    assert context_cells(4, 2, rows=2).tolist() == [[1, 0, 1, 4], [0, 1, 2, 5], [1, 2, 3, 6], [2, 3, 2, 7]]
    assert future_cells(4, 2, first_row=2).tolist() == [[8, 12], [9, 13], [10, 14], [11, 15]]
    # 3-D: 9 cells around the column (1, 2) in row 0, one in row 1.
    around = [0 * 16 + j * 4 + k for j in (0, 1, 2) for k in (1, 2, 3)]
    assert context_cells(4, 3, rows=2)[1 * 4 + 2].tolist() == [*around, 16 + 1 * 4 + 2]
    assert context_cells(4, 3, rows=3).shape == (16, 25 + 9 + 1)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_context_and_future_are_apart(spatial_dims):
    task = tiny(spatial_dims)
    assert not set(task.context.flatten().tolist()) & set(task.future.flatten().tolist())
    assert task.future.shape == (task.grid ** (spatial_dims - 1), 2)
    assert task.context.shape == (task.grid ** (spatial_dims - 1), 10 if spatial_dims == 3 else 4)


def test_info_nce_by_hand():
    predicted, actual = np.random.default_rng(0).normal(size=(2, 3, 4, 2, 5))
    losses = []
    for step in range(2):
        queries = predicted[:, :, step].reshape(12, 5)
        keys = actual[:, :, step].reshape(12, 5)
        for i, query in enumerate(queries):
            cosines = [query @ key / np.linalg.norm(query) / np.linalg.norm(key) for key in keys]
            logits = np.array(cosines) / 0.3
            losses.append(np.log(np.exp(logits).sum()) - logits[i])
    arguments = torch.tensor(predicted), torch.tensor(actual)
    assert info_nce(*arguments, 0.3).item() == pytest.approx(np.mean(losses))
    assert info_nce(*reversed(arguments), 0.3).item() != pytest.approx(np.mean(losses), rel=1e-3)


def test_binary_cross_entropy_by_hand():
    predicted, actual = np.random.default_rng(0).normal(size=(2, 3, 4, 2, 5))
    losses = []
    # The published loss of each column of each case for every negative that may be drawn: any other of them.
    for own, other in itertools.permutations(itertools.product(range(3), range(4)), 2):
        positive, negative = ((predicted[own] * actual[place]).mean() for place in (own, other))
        losses += [-np.log(1 / (1 + np.exp(-positive))), -np.log(1 - 1 / (1 + np.exp(-negative)))]
    loss = binary_cross_entropy(torch.tensor(predicted), torch.tensor(actual))
    assert loss.item() == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("objective", ["infonce", "bce"])
def test_accuracy_is_picking_the_positive(objective):
    task = tiny(objective=objective)
    actual = torch.eye(6).reshape(2, 3, 1, 6)
    right = torch.stack((actual, actual), dim=1)
    wrong = torch.stack((actual.roll(1, 0), actual), dim=1)
    assert task.measures(right)["accuracy"] == 1
    assert task.measures(wrong)["accuracy"] == 0


def test_predictions_see_nothing_but_the_context():
    task = tiny().eval()
    patches = torch.rand(2, 64, 1, 6, 6, 6)
    changed = patches.clone()
    changed[:, 32:] = torch.rand(2, 32, 1, 6, 6, 6)  # rows 2 and 3
    (predicted, actual), (again, other) = task(patches).unbind(1), task(changed).unbind(1)
    torch.testing.assert_close(predicted, again)
    assert not torch.isclose(actual, other).all(-1).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"context_rows": 4}, "4 rows, 4 are context and 0 skipped"),
        ({"context_rows": 0}, "0 are context"),
        ({"skip_rows": 2}, "2 are context and 2 skipped"),
        ({"image_fraction": 1.5}, "image_fraction .* 1.5"),
        ({"patch_fraction": 0}, "patch_fraction .* 0"),
        ({"objective": "nce"}, "infonce.*'nce'"),
    ],
)
def test_impossible_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        tiny(**arguments)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match=r"4 per side.*\(48, 48, 48\).*\(12, 12, 12\).*at least 16"):
        tiny(widths=(2,) * 5).make_task(torch.rand(2, 1, 48, 48, 48))
