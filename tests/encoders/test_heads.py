import numpy as np
import pytest
import torch

from sslmed.encoders import DenseNetEncoder, UNetEncoder
from sslmed.encoders.heads import Head, linear_head


@pytest.mark.parametrize(("pooling", "reduce"), [("average", np.mean), ("max", np.max)])
@pytest.mark.parametrize("spatial", [(3, 5), (2, 3, 4)])
def test_pools_and_concatenates_the_images_of_a_case(pooling, reduce, spatial):
    encoder = UNetEncoder(len(spatial), 1, widths=(2, 4))
    head = Head(encoder, num_images=2, out_features=7, widths=(), pooling=pooling)
    maps = torch.rand(3 * 2, 4, *spatial)
    pooled = reduce(maps.numpy(), axis=tuple(range(2, maps.ndim)))
    features = np.stack([np.concatenate((pooled[2 * case], pooled[2 * case + 1])) for case in range(3)])
    (linear,) = head.layers
    expected = features @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    np.testing.assert_allclose(head([maps]).detach(), expected, atol=1e-5)


def test_the_published_head():
    head = Head(
        UNetEncoder(3, 1), 1, 10, widths=(2048, 1024), dropout=0.5, pooling="flatten", image_size=(128, 128, 128)
    )
    assert [type(layer).__name__ for layer in head.layers[0].modules()][-4:] == [
        "ADN",
        "ReLU",
        "BatchNorm1d",
        "Dropout",
    ]
    sizes = [module.in_features for module in head.modules() if isinstance(module, torch.nn.Linear)]
    assert sizes == [4 * 4 * 4 * 256, 2048, 1024]
    assert all(parameter.device.type == "cpu" for parameter in head.parameters())


def test_flattening_takes_only_the_size_it_was_built_for():
    encoder = UNetEncoder(2, 1, widths=(2, 4))
    head = Head(encoder, 1, 3, pooling="flatten", image_size=(16, 24)).eval()
    assert head(encoder(torch.rand(2, 1, 16, 24))).shape == (2, 3)
    with pytest.raises(ValueError, match=r"built for 96 features.*give 64.*image_size"):
        head(encoder(torch.rand(2, 1, 16, 16)))


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_global_pooling_of_a_single_voxel_changes_nothing(pooling):
    encoder = DenseNetEncoder(block_config=(2, 2, 2), growth_rate=4, init_features=8).eval()
    coarsest = encoder(torch.rand(2 * 9, 3, 19, 19))[-1]  # the jigsaw's patches of images of 64
    assert coarsest.shape[2:] == (1, 1)
    head = Head(encoder, 9, 5, widths=(), pooling=pooling)
    torch.testing.assert_close(head([coarsest]), head.layers(coarsest.reshape(2, -1)))


@pytest.mark.slow
def test_the_published_jigsaw_head_on_fundus_photographs():
    # Patches of 66 leave 2 x 2 voxels of DenseNet-121, halved once more: nine times 1024 features.
    encoder = DenseNetEncoder()
    head = Head(encoder, 9, 100, widths=(), pooling="flatten", image_size=(66, 66))
    assert head.layers[0].in_features == 9 * 1024
    with pytest.raises(ValueError, match=r"for images of \(60, 60\) voxels is only \(1, 1\)"):
        Head(encoder, 9, 100, pooling="flatten", image_size=(60, 60))


@pytest.mark.parametrize("image_size", [None, (16, 16)])
def test_flattening_needs_one_side_per_axis(image_size):
    with pytest.raises(ValueError, match="image_size"):
        Head(UNetEncoder(3, 1, widths=(2, 4)), 1, 3, pooling="flatten", image_size=image_size)


def test_flattening_nothing_is_refused():
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(1, 1\)"):
        Head(UNetEncoder(2, 1, widths=(2, 2, 2, 2)), 1, 3, pooling="flatten", image_size=(8, 8))


def test_a_single_case_trains_no_batch_normalisation():
    encoder = UNetEncoder(2, 1, widths=(2, 4))
    maps = torch.rand(1, 4, 3, 3)
    with pytest.raises(ValueError, match="train on 2 cases or more in a batch"):
        Head(encoder, 1, 3)([maps])
    assert Head(encoder, 1, 3).eval()([maps]).shape == (1, 3)
    assert linear_head(encoder, 1, 3)([maps]).shape == (1, 3)
