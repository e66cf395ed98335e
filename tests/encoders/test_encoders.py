"""What holds for every encoder, in 2-D and 3-D, and what each is an instance of."""

import math
from collections.abc import Sequence
from itertools import product

import pytest
import torch
from families import ENCODERS, move_from_zero
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets.densenet import DenseNet121
from monai.networks.nets.resnet import resnet18

from sslmed.encoders import DenseNetEncoder, Encoder, ResNetEncoder, UNetEncoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.residual import ConvNorm

UP, DOWN = (lambda side: -(-side // 2)), (lambda side: side // 2)
# How each halving rounds, from the image to the coarsest map; then the number of maps.
HALVINGS = {
    "UNetEncoder": ([DOWN, DOWN], 3),
    "DenseNetEncoder": ([UP, UP, DOWN, DOWN], 4),
    "ResNetEncoder": ([UP] * 5, 5),
    "fine-resnet": ([UP] * 4, 5),
    "ResidualEncoder": ([UP] * 2, 3),
}
CHANNELS = {
    "UNetEncoder": (2, 3, 4),
    "DenseNetEncoder": (4, 6, 7, 5),
    "ResNetEncoder": (2, 2, 3, 4, 5),
    "fine-resnet": (2, 2, 3, 4, 5),
    "ResidualEncoder": (2, 3, 3),
}

every_encoder = pytest.mark.parametrize("name", ENCODERS)
every_own_encoder = pytest.mark.parametrize("name", HALVINGS)
both_ranks = pytest.mark.parametrize("dims", [2, 3])


def halve(name: str, sides: Sequence[int]) -> list[tuple[int, ...]]:
    """Sides of every map, finest first, by the rounding of each halving."""
    halvings, n_maps = HALVINGS[name]
    seen = [tuple(sides)]
    for halving in halvings:
        seen.append(tuple(halving(side) for side in seen[-1]))
    return seen[-n_maps:]


@every_own_encoder
@both_ranks
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_every_map_is_half_as_fine_as_the_one_before(name, dims, data):
    encoder = ENCODERS[name](dims, 2).eval()
    sides = data.draw(st.lists(st.integers(encoder.minimum_side, 40), min_size=dims, max_size=dims))
    maps = encoder(torch.rand(1, 2, *sides))
    assert [tuple(features.shape[2:]) for features in maps] == halve(name, sides)
    assert tuple(features.shape[1] for features in maps) == encoder.out_channels == CHANNELS[name]


@every_encoder
@both_ranks
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_maps_are_reduced_as_the_encoder_says(name, dims, data):
    encoder = ENCODERS[name](dims, 2).eval()
    sides = data.draw(st.lists(st.integers(encoder.minimum_side, 40), min_size=dims, max_size=dims))
    maps = encoder(torch.rand(1, 2, *sides))
    assert len(maps) == len(encoder.reductions) == len(encoder.out_channels)
    for features, reductions, channels in zip(maps, encoder.axis_reductions, encoder.out_channels, strict=True):
        assert features.shape[1] == channels
        for side, found, reduction in zip(sides, features.shape[2:], reductions, strict=True):
            assert found in (max(1, side // reduction), math.ceil(side / reduction))


@every_own_encoder
@both_ranks
def test_the_minimum_side_is_exact(name, dims):
    encoder = ENCODERS[name](dims, 1)
    least = encoder.minimum_side
    needed = 2 if encoder.norm == "instance" else 1  # the instance norm of a single voxel is 0
    assert halve(name, [least])[-1] == (needed,)
    assert least == 1 or halve(name, [least - 1])[-1] == (needed - 1,)
    assert encoder.training
    maps = encoder(torch.rand(2, 1, *[least] * dims))
    assert maps[-1].shape[2:] == (needed,) * dims
    assert all(torch.isfinite(features).all() for features in maps)
    with pytest.raises(ValueError, match=f"{type(encoder).__name__} .* at least {least} voxels"):
        encoder(torch.rand(2, 1, *[least - 1] * dims))


@pytest.mark.parametrize("norm", ["batch", pytest.param("instance", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*HALVINGS, "SwinEncoder", "flat-residual"])
def test_exactly_the_volumes_that_fit_can_be_trained_on(name, norm, monkeypatch):
    monkeypatch.setattr(Encoder, "check", lambda *_: None)
    encoder = ENCODERS[name](3, 1, norm=norm)
    decoder = UNetDecoder(encoder, 2)

    def trains(sides):
        try:
            decoder(encoder(torch.rand(2, 1, *sides)), sides).square().sum().backward()
        except (ValueError, RuntimeError):  # of layers
            return False
        return True

    bounds = {1, 2, *encoder.sides_leaving(1), encoder.minimum_side}
    near = {max(1, side + step) for side in bounds for step in (-1, 0)}
    for sides in product(near, repeat=3):
        assert encoder.fits(sides) == trains(sides), sides


@every_encoder
@both_ranks
def test_a_gradient_reaches_every_parameter(name, dims):
    torch.manual_seed(0)
    encoder = ENCODERS[name](dims, 2)
    move_from_zero(encoder)
    coarsest = encoder(torch.randn(4, 2, *(32, 36, 40)[:dims]))[-1]
    (coarsest * torch.randn_like(coarsest)).sum().backward()
    gradients = {key: 0.0 if each.grad is None else each.grad.abs().max() for key, each in encoder.named_parameters()}
    removed = {f"{key}.conv.bias" for key, each in encoder.named_modules() if isinstance(each, ConvNorm)}
    assert [key for key, largest in gradients.items() if largest < 1e-6 and key not in removed] == []


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 1, 8, 8), r"expects images \(B, 1, I, J, K\)"),
        ((1, 2, 8, 8, 8), r"got \(1, 2, 8, 8, 8\)"),
        ((1, 1, 8, 3, 8), r"4-fold.*at least 4 voxels, got \(8, 3, 8\)"),
    ],
)
def test_images_it_cannot_take_are_refused_with_the_numbers(shape, words):
    with pytest.raises(ValueError, match=words):
        UNetEncoder(3, 1, (2, 3, 4))(torch.rand(shape))


def test_paper_patch_of_39_ends_at_2():
    maps = UNetEncoder()(torch.rand(1, 1, 39, 39, 39))
    assert [features.shape[-1] for features in maps] == [39, 19, 9, 4, 2]
    assert [features.shape[1] for features in maps] == [16, 32, 64, 128, 256]


def test_the_default_densenet_is_densenet_121():
    encoder, whole = DenseNetEncoder().eval(), DenseNet121(2, 3, 5).eval()
    encoder.features.load_state_dict(whole.features.state_dict())
    assert encoder.state_dict().keys() == {f"features.{key}" for key in whole.features.state_dict()}
    images = torch.rand(2, 3, 64, 96)
    maps = encoder(images)
    torch.testing.assert_close(maps[-1], whole.features(images).relu(), rtol=0, atol=0)
    assert [tuple(features.shape[1:]) for features in maps] == [
        (64, 32, 48), (256, 16, 24), (512, 8, 12), (1024, 4, 6), (1024, 2, 3)
    ]  # fmt: skip
    assert (encoder.reductions, encoder.minimum_side) == ((2, 4, 8, 16, 32), 29)


def test_the_default_resnet_is_resnet_18():
    encoder = ResNetEncoder().eval()
    whole = resnet18(spatial_dims=3, n_input_channels=1, num_classes=7, conv1_t_stride=2, bias_downsample=False).eval()
    keys = [key for key in whole.state_dict() if not key.startswith("fc.")]
    assert len(keys) == len(encoder.state_dict())
    # Registered in the same order, under other names.
    encoder.load_state_dict(dict(zip(encoder.state_dict(), map(whole.state_dict().get, keys), strict=True)))
    images = torch.rand(1, 1, 33, 40, 48)
    maps = encoder(images)
    torch.testing.assert_close(whole.fc(maps[-1].mean((2, 3, 4))), whole(images))
    assert [features.shape[1] for features in maps] == [64, 64, 128, 256, 512]


def test_a_resnet_has_four_stages():
    with pytest.raises(ValueError, match=r"four stages, got widths \(4, 8\) and depths \(2, 2, 2, 2\)"):
        ResNetEncoder(2, 1, widths=(4, 8))
