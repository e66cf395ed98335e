import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sslmed.encoders import DenseNetEncoder, ResNetEncoder, UNetEncoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.heads import Head

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


@pytest.mark.parametrize(
    "sides", [(16, 24), (12, 20)]
)  # the coarsest map is 4 by 6, and 3 by 5, whose last is pooled alone
def test_extra_pooling_repeats_the_largest_of_each_2_by_2_by_hand(sides):
    encoder = UNetEncoder(2, 1, (2, 3, 4)).eval()
    decoder = UNetDecoder(encoder, 3, extra_pooling=True).eval()
    plain = UNetDecoder(encoder, 3).eval()
    plain.load_state_dict(decoder.state_dict())  # it has no weights of its own
    *fine, coarsest = encoder(torch.rand(2, 1, *sides))
    pooled = np.empty_like(coarsest.detach().numpy())
    height, width = pooled.shape[2:]
    for i, j in itertools.product(range(0, height, 2), range(0, width, 2)):
        pooled[:, :, i : i + 2, j : j + 2] = coarsest.detach()[:, :, i : i + 2, j : j + 2].amax((2, 3), keepdim=True)
    torch.testing.assert_close(decoder([*fine, coarsest]), plain([*fine, torch.tensor(pooled)]))


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_batch_norms_are_as_asked_for(eps):
    encoder = UNetEncoder(2, 1, (2, 3, 4), norm_momentum=0.01, norm_eps=eps)
    decoder = UNetDecoder(encoder, 3, norm_momentum=0.01, norm_eps=eps)
    head = Head(encoder, 1, 3, norm_momentum=0.01, norm_eps=eps)
    for network in (encoder, decoder, head):
        norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        assert norms
        assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, eps)}


def test_on_a_unet_nothing_is_interpolated():
    encoder = UNetEncoder(2, 1, (2, 3, 4))
    assert not any("enlarge" in key for key in UNetDecoder(encoder, 3).state_dict())
    assert isinstance(UNetDecoder(encoder, 3).enlarge, torch.nn.Identity)
