import itertools
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from families import ENCODERS
from hypothesis import given, settings
from hypothesis import strategies as st
from outside import PatchTransformer

from sslmed.encoders import Encoder, ResNetEncoder, UNetEncoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.heads import Head

every_encoder = pytest.mark.parametrize("name", ENCODERS)
both_ranks = pytest.mark.parametrize("dims", [2, 3])


@every_encoder
@both_ranks
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_outputs_have_the_images_sides_whatever_they_are(name, dims, data):
    encoder = ENCODERS[name](dims, 1)
    decoder = UNetDecoder(encoder, 3).eval()
    sides = data.draw(st.lists(st.integers(encoder.minimum_side, 40), min_size=dims, max_size=dims))
    assert decoder(encoder.eval()(torch.rand(1, 1, *sides)), sides).shape == (1, 3, *sides)


@every_encoder
@both_ranks
def test_a_gradient_reaches_every_parameter(name, dims):
    encoder = ENCODERS[name](dims, 1)
    decoder = UNetDecoder(encoder, 3)
    decoder(encoder(torch.rand(2, 1, *(64, 32, 32)[:dims]))).square().sum().backward()
    assert all(each.grad is not None for module in (encoder, decoder) for each in module.parameters())


def test_where_sides_do_not_divide_the_end_is_repeated_and_all_else_stays():
    # A convolution of width 1, nearest neighbours: by hand, each voxel shows the coarse voxel that it lies in.
    encoder = PatchTransformer(2, 1, width=4, reductions=(4,))
    decoder = UNetDecoder(encoder, 1)
    (coarse,) = maps = [torch.rand(1, 4, 2, 3)]  # as of 8 to 11 voxels by 12 to 15
    whole = decoder(maps)
    assert whole.shape == (1, 1, 8, 12)
    weight, bias = decoder.output.weight[0].detach(), decoder.output.bias.detach()
    scores = (coarse[0] * weight).sum(0) + bias
    torch.testing.assert_close(whole[0, 0, ::7, ::11], scores[::1, ::2])  # corners
    for rows, columns in product(range(7, 12), range(11, 16)):
        seen = decoder(maps, (rows, columns))
        torch.testing.assert_close(seen[..., :8, :12], whole[..., :rows, :columns])
        assert (seen[..., 8:, :] == seen[..., 7:8, :]).all()
        assert (seen[..., 12:] == seen[..., 11:12]).all()


def test_scores_of_coarse_maps_are_interpolated_linearly():
    encoder = ResNetEncoder(2, 1, (2, 3, 4, 5), (1, 1, 1, 1)).eval()
    decoder = UNetDecoder(encoder, 3).eval()
    maps = encoder(torch.rand(1, 1, 32, 64))
    logits = decoder(maps)
    seen = []
    decoder.output.register_forward_hook(lambda *arguments: seen.append(arguments[-1]))
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
    assert isinstance(UNetDecoder(UNetEncoder(2, 1, (2, 3, 4)), 3).enlarge, torch.nn.Identity)


@pytest.mark.parametrize("reductions", [(2, 4), (2, 3, 6), (4, 2, 1)])
def test_reductions_that_no_decoder_can_undo_are_refused(reductions):
    class Odd(Encoder):
        spatial_dims, in_channels, out_channels = 2, 1, (4, 4, 4)

        def forward(self, images):
            raise NotImplementedError

    Odd.reductions = reductions
    with pytest.raises(ValueError, match=r"Odd has reductions .* for 3 feature maps"):
        UNetDecoder(Odd(), 2)


def test_fewer_maps_than_declared_are_refused():
    with pytest.raises(ValueError, match="gives 2 feature maps, but declares 3"):
        UNetDecoder(UNetEncoder(2, 1, (2, 3, 4)), 3)([torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 4, 4)])
