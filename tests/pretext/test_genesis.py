import math

import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.pretext import ModelsGenesis
from sslmed.pretext.distortions import (
    CURVE_POINTS,
    bezier_curves,
    change_intensities,
    interpolate,
    paint,
    random_boxes,
    shuffle_cells,
    shuffle_locally,
)

CPU = torch.device("cpu")
SHAPES = [(20, 26), (18, 19, 21)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_curves_are_those_of_the_published_formula_and_half_of_them_fall():
    x, y = (each.numpy() for each in bezier_curves(200, CPU, _seeded()))
    first, second = torch.rand(2, 200, 2, 1, generator=_seeded())[..., 0].unbind(2)  # the control points
    t = np.linspace(0, 1, CURVE_POINTS)
    falling = y[:, 0] == 1
    assert 70 < falling.sum() < 130
    for i in range(200):
        for coordinate, got in ((0, x[i]), (1, y[i][::-1] if falling[i] else y[i])):
            controls = [0, first[coordinate, i].item(), second[coordinate, i].item(), 1]
            bernstein = [math.comb(3, k) * t**k * (1 - t) ** (3 - k) for k in range(4)]
            np.testing.assert_allclose(got, sum(c * b for c, b in zip(controls, bernstein, strict=True)), atol=1e-6)
    assert (np.diff(x) >= -1e-7).all()
    assert (np.diff(y) * np.where(falling, -1, 1)[:, None] >= -1e-7).all()


def test_interpolation_is_that_of_numpy():
    x, y = bezier_curves(20, CPU, _seeded())
    values = torch.cat((torch.rand(20, 50, generator=_seeded()), torch.tensor([[0.0, 1.0]]).expand(20, 2)), dim=1)
    expected = [np.interp(v, a, b) for v, a, b in zip(values.numpy(), x.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(interpolate(values, x, y), expected, atol=1e-4)


@every_shape
def test_intensities_change_alike_in_all_channels_and_keep_or_reverse_their_order(shape):
    images = torch.rand(12, 1, *shape).expand(-1, 2, *shape)
    changed = change_intensities(images, 0.5, _seeded())
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert 0 <= changed.min() <= changed.max() <= 1
    same = [torch.equal(a, b) for a, b in zip(images, changed, strict=True)]
    assert 2 < sum(same) < 10
    signs = set()
    for before, after in zip(images[:, 0].flatten(1), changed[:, 0].flatten(1), strict=True):
        steps = after[before.argsort()].diff().round(decimals=5).sign().unique().tolist()
        assert {1.0, -1.0} - set(steps)
        signs |= set(steps)
    assert {1.0, -1.0} <= signs


@every_shape
def test_voxels_move_within_their_cell_alone(shape):
    dims = len(shape)
    images = torch.arange(2.0 * math.prod(shape)).reshape(2, 1, *shape).repeat(1, 2, *(1,) * dims)
    sizes = torch.tensor([[3, 4, 2][:dims], [1, 5, 3][:dims]])
    starts = torch.tensor([[2, 0, 1][:dims], [0, 3, 2][:dims]])
    for fraction in (1.0, 0.5):
        shuffled = shuffle_cells(images, sizes, starts, fraction, _seeded())
        assert torch.equal(shuffled[:, 0], shuffled[:, 1])
        moved = []
        for case in range(2):
            number = sum(
                100**axis * ((np.indices(shape)[axis] + starts[case, axis].item()) // sizes[case, axis].item())
                for axis in range(dims)
            )
            for cell in np.unique(number):
                before, after = images[case, 0].numpy()[number == cell], shuffled[case, 0].numpy()[number == cell]
                np.testing.assert_array_equal(np.sort(after), before)
                moved += [(after != before).any()] if before.size > 3 else []
        assert np.mean(moved) == pytest.approx(fraction, abs=0.15)


@every_shape
def test_local_shuffling_is_local_and_differs_between_images(shape):
    axis = torch.arange(shape[0], dtype=torch.float32).reshape(-1, *(1,) * (len(shape) - 1)).expand(10, 1, *shape)
    moved = (shuffle_locally(axis, 0.5, 1.0, _seeded()) - axis).flatten(1).abs().amax(1)
    assert moved.max() <= max(2, shape[0] // 10) - 1
    assert 0 < (moved == 0).sum() < 10


@every_shape
def test_boxes_have_the_sizes_asked_for_and_noise_is_inside_or_outside(shape, monkeypatch):
    monkeypatch.setattr("sslmed.pretext.distortions.ANOTHER_BOX", 0.0)
    images = torch.full((40, 2, *shape), 2.0)
    small, large = [side // 6 for side in shape], [side // 3 for side in shape]
    boxes = random_boxes(images, small, large, _seeded()).numpy()[:, 0]
    for box in boxes:
        corners = np.argwhere(box)
        sides = corners.max(0) - corners.min(0) + 1
        assert box.sum() == sides.prod()
        assert ((small <= sides) & (sides <= large)).all()
        assert ((corners.min(0) >= 3) & (corners.max(0) < np.array(shape) - 3)).all()
    inner, outer = (paint(images, 1.0, each, _seeded()) for each in (1.0, 0.0))
    for painted, low, high in ((inner, 0.0, 1 / 3), (outer, 1 - 4 / 7 - 0.1, 1.0)):
        noise = painted < 2
        assert torch.equal(noise[:, 0], noise[:, 1])
        fractions = noise.flatten(1).float().mean(1)
        assert low < fractions.min() <= fractions.max() < high
        assert painted[noise].mean() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(paint(images, 0.0, 0.5, _seeded()), images)


def test_up_to_five_boxes():
    images = torch.zeros(200, 1, 60, 60)
    marked = random_boxes(images, [1, 1], [1, 1], _seeded()).flatten(1).sum(1)
    assert marked.max() == 5
    assert marked.float().mean() == pytest.approx(sum(0.95**k for k in range(5)), abs=0.15)


@every_shape
def test_the_loss_and_what_chance_and_copying_cost_by_hand(shape):
    task = ModelsGenesis(UNetEncoder(len(shape), 2, widths=(2, 4)))
    images = torch.rand(3, 2, *shape) ** 2
    inputs, targets = task.make_task(images)
    outputs = torch.rand_like(images)
    original = images.numpy()
    assert task.loss(outputs, targets).item() == pytest.approx(((outputs.numpy() - original) ** 2).mean(), rel=1e-5)
    variance = np.mean([original[:, channel].var() for channel in range(2)])
    assert task.chance_loss(outputs, targets).item() == pytest.approx(variance, rel=1e-5)
    copied = ((inputs.numpy() - original) ** 2).mean()
    assert task.measures(outputs, targets)["copy_loss"].item() == pytest.approx(copied, rel=1e-5)
    assert all(torch.equal(a.image, o) for a, o in zip(task.answers(outputs, targets), outputs, strict=True))


def test_without_distortions_the_input_is_the_image():
    task = ModelsGenesis(UNetEncoder(2, 1, widths=(2, 4)), nonlinear=0, shuffle=0, painting=0)
    images = torch.rand(3, 1, 20, 20)
    assert torch.equal(task.make_task(images)[0], images)
