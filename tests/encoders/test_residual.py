"""The residual encoder is nnU-Net's: the same tensors by name, the same outputs, loaded both ways."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_library import library_network
from torch import nn

from sslmed.core.yaml_files import read_yaml
from sslmed.encoders import DenseNetEncoder, Encoder, ResidualEncoder, ResNetEncoder, UNetEncoder, load_encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.experiments.configs import config_root

# python -c "import test_residual as t; t.record()" in this folder, with tests/helpers on PYTHONPATH
RECORD = Path(__file__).with_name("residual_encoder_unet.json")
ANISOTROPIC = {
    "features_per_stage": (4, 6, 6, 8),
    "n_blocks_per_stage": (1, 3, 2, 1),
    "strides": (1, (1, 2, 2), 2, (2, 2, 1)),
    "kernel_sizes": ((1, 3, 3), 3, (3, 1, 3), 3),
}
SIZES = {
    "isotropic": lambda: ResidualEncoder(3, 2),
    "anisotropic": lambda: ResidualEncoder(3, 1, **ANISOTROPIC),
    "2-D": lambda: ResidualEncoder(2, 3, (4, 6), (2, 1), (1, (2, 1)), (3, (3, 5))),
}


def record() -> None:
    """Write the names and shapes of the encoder in nnU-Net's library."""
    shapes = {
        name: {key: list(value.shape) for key, value in library_network(build()).encoder.state_dict().items()}
        for name, build in SIZES.items()
    }
    RECORD.write_text(json.dumps(shapes, indent=0) + "\n", encoding="utf-8")


def turned_sizes(encoder: ResidualEncoder) -> ResidualEncoder:
    """Build the same encoder for the axes (k, j, i)."""
    blocks = [len(stage.blocks) for stage in encoder.stages]
    strides, kernels = ([each[::-1] for each in sizes] for sizes in (encoder.strides, encoder.kernel_sizes))
    return ResidualEncoder(3, encoder.in_channels, encoder.out_channels, blocks, strides, kernels)


def nudged(network: nn.Module) -> nn.Module:
    """Move all weights from where they began."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("name", SIZES)
def test_its_tensors_are_those_of_the_library(name) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    own = {key: list(value.shape) for key, value in SIZES[name]().state_dict().items()}
    assert own == {key: shape for key, shape in recorded.items() if ".all_modules." not in key}


@pytest.mark.parametrize("name", SIZES)
def test_weights_of_nnunet_are_loaded_and_give_the_same_maps(name, tmp_path, capsys) -> None:
    encoder = SIZES[name]().eval()
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    assert {key: list(value.shape) for key, value in library_network(encoder).encoder.state_dict().items()} == recorded
    library = nudged(library_network(turned_sizes(encoder) if encoder.spatial_dims == 3 else encoder))
    scores = {"logging": {"mean_fg_dice": [np.float64(0.5)]}, "_best_ema": np.float64(0.5)}  # as nnU-Net has them
    torch.save({"network_weights": library.state_dict(), **scores}, tmp_path / "checkpoint_final.pth")
    load_encoder(encoder, tmp_path / "checkpoint_final.pth")
    assert f": {len(encoder.state_dict())} loaded, 0 missing, 0 mismatched, 0 unknown\n" in capsys.readouterr().out
    images = torch.randn(2, encoder.in_channels, *(16, 24, 32)[: encoder.spatial_dims])
    is_turned = encoder.spatial_dims == 3  # nnU-Net's axes are (k, j, i)
    maps = library.encoder(images.transpose(2, 4) if is_turned else images)
    for one, other in zip(encoder(images), maps, strict=True):
        torch.testing.assert_close(one, other.transpose(2, 4) if is_turned else other)


def test_resenc_l_has_the_published_size() -> None:
    content = read_yaml(config_root() / "encoder" / "residual-l.yaml")
    arguments = content["model"]["init_args"]["encoder"]["init_args"]
    with torch.device("meta"):
        encoder = ResidualEncoder(3, 1, **arguments)
        library = library_network(encoder)
    assert sum(each.numel() for each in encoder.parameters()) == sum(
        each.numel() for each in library.encoder.parameters()
    )
    assert encoder.reductions[-1] == (32, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"strides": (1, 2)}, "one entry for each stage, at least one, .* got 3, 3, 2 and 3"),
        ({"strides": (1, 2, (2, 2))}, r"strides: expected one number for all axes or 3 for each stage, got \(2, 2\)"),
        ({"kernel_sizes": (3, 3, 2)}, r"kernel_sizes that are odd, got \[3, 3, 2\]"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        ResidualEncoder(3, 1, **arguments)


WITH_NORM = {
    "unet": lambda norm: UNetEncoder(2, 1, (2, 3, 4), 0.0, norm=norm),
    "densenet": lambda norm: DenseNetEncoder(2, 1, (1, 1), 2, 4, norm=norm),
    "resnet": lambda norm: ResNetEncoder(2, 1, (2, 2, 2, 2), (1, 1, 1, 1), norm=norm),
    "residual": lambda norm: ResidualEncoder(2, 1, norm=norm),
}


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("name", WITH_NORM)
def test_encoder_and_decoder_have_the_norm_that_is_asked_for(name, norm) -> None:
    encoder: Encoder = WITH_NORM[name](norm)
    network = nn.ModuleList([encoder, UNetDecoder(encoder, 2, dropout=0.0)])
    kinds = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
    found = [each for each in network.modules() if isinstance(each, tuple(kinds.values()))]
    assert {type(each) for each in found} == {kinds[norm]}
    assert all(each.affine for each in found)
    least = torch.rand(2, 1, *[encoder.minimum_side] * 2)
    with pytest.raises(ValueError, match=f"sides of at least {encoder.minimum_side}"):
        encoder(least[..., 1:, 1:])
    answers = [network.train(mode)[1](network[0](least), least.shape[2:]) for mode in (True, False)]
    assert torch.allclose(*answers, atol=1e-5) == (norm == "instance")  # which knows no running statistics
