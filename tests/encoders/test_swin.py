"""The transformer is that of MONAI's SwinUNETR."""

import pytest
import torch
from monai.networks.nets.swin_unetr import SwinUNETR

from sslmed.encoders import SwinEncoder


@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_default_is_the_encoder_of_swin_unetr(dims) -> None:
    encoder = SwinEncoder(dims).eval()
    whole = SwinUNETR(in_channels=1, out_channels=2, feature_size=48, spatial_dims=dims).eval()
    encoder.transformer.load_state_dict(whole.swinViT.state_dict())
    images = torch.rand(1, 1, *[64] * dims)
    with torch.inference_mode():
        maps = encoder(images)
        for one, other in zip(maps, whole.swinViT(images), strict=True):
            torch.testing.assert_close(one, other)
    assert [features.shape[1] for features in maps] == [48, 96, 192, 384, 768]
    assert encoder.reductions == (2, 4, 8, 16, 32)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depths": (2,) * 5, "num_heads": (1,) * 5}, r"1 to 4 stages"),
        ({"depths": (2, 2)}, r"got depths \[2, 2\] and num_heads \[3, 6, 12, 24\]"),
        ({"embed_dim": 16}, "not possible for 16 by 3: change embed_dim 16 or num_heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        SwinEncoder(3, 1, **arguments)


def test_images_that_are_too_small_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="32-fold: it needs sides of at least 17 voxels, got"):
        SwinEncoder(2, norm="instance")(torch.rand(1, 1, 16, 16))
