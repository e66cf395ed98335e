import pytest
import torch
import torch.nn.functional as F

from sslmed.encoders import DenseNetEncoder, ResNetEncoder, UNetEncoder
from sslmed.encoders.decoder import UNetDecoder

ENCODERS = {
    "unet": (lambda dims: UNetEncoder(dims, 1, (2, 3, 4)), 4),
    "densenet": (lambda dims: DenseNetEncoder(dims, 1, (1, 2, 1), growth_rate=2, init_features=4), 16),
    "resnet": (lambda dims: ResNetEncoder(dims, 1, (2, 3, 4, 5), (1, 1, 1, 1)), 32),
    "fine-resnet": (lambda dims: ResNetEncoder(dims, 1, (2, 3, 4, 5), (1, 1, 1, 1), stem_stride=1), 16),
}
every_encoder = pytest.mark.parametrize(("build", "factor"), ENCODERS.values(), ids=ENCODERS)


@every_encoder
@pytest.mark.parametrize("dims", [2, 3])
def test_logits_have_the_images_size_on_every_encoder(build, factor, dims):
    encoder = build(dims)
    decoder = UNetDecoder(encoder, 3)
    assert decoder.factor == factor
    sides = (factor, 2 * factor, factor)[:dims]
    images = torch.rand(2, 1, *sides)
    logits = decoder(encoder(images))
    assert logits.shape == (2, 3, *sides)
    logits.square().sum().backward()
    assert all(each.grad is not None for module in (encoder, decoder) for each in module.parameters())


@every_encoder
@pytest.mark.parametrize("dims", [2, 3])
def test_other_sides_are_refused_with_the_numbers(build, factor, dims):
    encoder = build(dims)
    sides = (2 * factor, *[2 * factor - 1] * (dims - 1))
    words = rf"poolings needs sides that {factor} divides, got \({', '.join(map(str, sides))}\)"
    with pytest.raises(ValueError, match=words):
        UNetDecoder(encoder, 3)(encoder(torch.rand(2, 1, *sides)), sides)


def test_scores_of_coarse_maps_are_interpolated_linearly():
    encoder = ResNetEncoder(2, 1, (2, 3, 4, 5), (1, 1, 1, 1)).eval()
    decoder = UNetDecoder(encoder, 3).eval()
    maps = encoder(torch.rand(1, 1, 32, 64))
    logits = decoder(maps)
    seen = []
    decoder.classify.register_forward_hook(lambda *arguments: seen.append(arguments[-1]))
    decoder(maps)
    torch.testing.assert_close(logits, F.interpolate(seen[0], (32, 64), mode="bilinear", align_corners=False))


def test_on_a_unet_nothing_is_interpolated():
    encoder = UNetEncoder(2, 1, (2, 3, 4))
    assert not any("enlarge" in key for key in UNetDecoder(encoder, 3).state_dict())
    assert isinstance(UNetDecoder(encoder, 3).enlarge, torch.nn.Identity)
