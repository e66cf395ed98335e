import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from sslmed.learning.augmentation import RandomAffine, RandomIntensity, apply_affine, apply_intensity

SHAPES = [(7, 9), (5, 7, 9)]
CPU = torch.device("cpu")
EVERYTHING = RandomAffine(flip=0.5, quarter_turns=0.5, rotation=0.5, zoom=0.5)


def seeded(seed: int = 0, device: torch.device = CPU) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("mode", "order"), [("bilinear", 1), ("nearest", 0)])
def test_affine_agrees_with_scipy_on_unequal_sides(shape, mode, order, device):
    images = torch.rand(4, 2, *shape)
    matrices = EVERYTHING.sample(4, len(shape), device, seeded(device=device))
    moved = apply_affine(images.to(device), matrices, mode).cpu()
    centre = (np.array(shape) - 1) / 2
    for image, matrix, result in zip(images, matrices.cpu().double().numpy(), moved, strict=True):
        for channel, got in zip(image.numpy(), result.numpy(), strict=True):
            expected = ndimage.affine_transform(
                channel, matrix, centre - matrix @ centre, order=order, mode="grid-constant", prefilter=False
            )
            differs = ~np.isclose(got, expected, atol=1e-4)
            assert differs.mean() <= (0.02 if mode == "nearest" else 0)  # ties between neighbours may round either way


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_alone_are_exact(shape, device):
    images = torch.rand(8, 1, *shape)
    matrices = RandomAffine(flip=0.5).sample(8, len(shape), device, seeded(device=device))
    for image, matrix, moved in zip(images, matrices, apply_affine(images.to(device), matrices).cpu(), strict=True):
        flipped = [axis + 1 for axis in range(len(shape)) if matrix[axis, axis] < 0]
        np.testing.assert_allclose(moved, np.flip(image.numpy(), flipped), atol=1e-5)
    assert 0 < (matrices.diagonal(dim1=1, dim2=2) < 0).float().mean() < 1


def test_quarter_turns_are_those_of_numpy():
    image = torch.rand(1, 1, 6, 6)
    matrices = RandomAffine(flip=0, quarter_turns=1).sample(50, 2, CPU, seeded())
    turned = apply_affine(image.expand(50, -1, -1, -1), matrices)
    seen = {k for k in range(4) for each in turned if np.allclose(each[0], np.rot90(image[0, 0].numpy(), k), atol=1e-5)}
    assert seen == {0, 1, 2, 3}


def test_strengths_bound_what_is_drawn():
    zooms = RandomAffine(flip=0, zoom=1, max_zoom=0.2).sample(500, 3, CPU, seeded())
    factors = 1 / zooms.diagonal(dim1=1, dim2=2)
    assert 0.8 <= factors.min() < 0.82
    assert 1.18 < factors.max() <= 1.2
    tilts = RandomAffine(flip=0, rotation=1, max_angle=20).sample(500, 2, CPU, seeded())
    angles = torch.atan2(tilts[:, 1, 0], tilts[:, 0, 0]).rad2deg()
    assert -20 <= angles.min() < -19
    assert 19 < angles.max() <= 20
    still = RandomAffine(flip=0).sample(3, 3, CPU, seeded())
    torch.testing.assert_close(still, torch.eye(3).expand(3, 3, 3))
    share = (RandomAffine(flip=0, zoom=0.15).sample(2000, 2, CPU, seeded())[:, 0, 0] != 1).float().mean()
    assert math.isclose(share, 0.15, abs_tol=0.03)


@pytest.mark.parametrize("dtype", [torch.float16, torch.uint8])
def test_dtype_is_kept_and_nearest_invents_no_label(dtype):
    labels = torch.randint(0, 3, (4, 1, 8, 6, 7)).to(dtype) * 2
    moved = apply_affine(labels, EVERYTHING.sample(4, 3, CPU, seeded()), mode="nearest")
    assert moved.dtype == dtype
    assert set(moved.unique().tolist()) <= {0, 2, 4}


def test_intensity_by_hand(device):
    images = torch.rand(3, 2, 5, 4)
    shift, factor = torch.tensor([0.1, 0.0, -0.1]), torch.tensor([1.5, 1.0, 0.5])
    changed = apply_intensity(*(each.to(device) for each in (images, shift, factor))).cpu().numpy()
    for image, s, f, got in zip(images.numpy(), shift.numpy(), factor.numpy(), changed, strict=True):
        np.testing.assert_allclose(got, np.clip((image - image.mean()) * f + image.mean() + s, 0, 1), atol=1e-6)
    np.testing.assert_allclose(changed[1], images[1], atol=1e-6)


def test_intensity_is_drawn_within_its_strengths():
    shift, factor = RandomIntensity(probability=0.5, brightness=0.1, contrast=(0.8, 1.3)).sample(2000, CPU, seeded())
    assert shift.abs().max() <= 0.1
    assert factor.min() >= 0.8
    assert factor.max() <= 1.3
    untouched = (shift == 0) & (factor == 1)
    assert math.isclose(untouched.float().mean(), 0.5, abs_tol=0.05)


def test_drawing_depends_on_the_generator_alone():
    first, again, other = (EVERYTHING.sample(4, 3, CPU, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_autocast_does_not_round_coordinates(device: torch.device) -> None:
    images = torch.rand(2, 1, 9, 9, 9, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        matrices = RandomAffine(rotation=1.0, max_angle=30).sample(2, 3, images.device)
        moved = apply_affine(images, torch.eye(3, device=device).expand(2, 3, 3))
    assert torch.allclose(
        matrices @ matrices.mT, torch.diag_embed((matrices @ matrices.mT).diagonal(dim1=1, dim2=2)), atol=1e-5
    )
    assert torch.allclose(moved, images, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 5)])
def test_axes_that_are_exchanged_and_flipped_are_those_of_numpy(shape, device):
    images = torch.rand(1, 2, *shape)
    for axes in itertools.permutations(range(len(shape))):
        for signs in itertools.product((-1, 1), repeat=len(shape)):
            # Output axis a shows the input's axes[a], backwards where the sign says so.
            matrix = torch.zeros(1, len(shape), len(shape))
            for a, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
                matrix[0, axis, a] = sign
            expected = images[0].numpy().transpose(0, *(axis + 1 for axis in axes))
            expected = np.flip(expected, [a + 1 for a, sign in enumerate(signs) if sign < 0])
            moved = apply_affine(images.to(device), matrix.to(device))[0].cpu()
            np.testing.assert_allclose(moved, expected, atol=1e-5)
