"""Weights under the names that torchvision and timm publish give the features that their networks compute."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.errors import UserError
from sslmed.encoders import DenseNetEncoder, ResNetEncoder, UNetEncoder, load_encoder

State = dict[str, Tensor]


def _normalised(state: State, name: str, x: Tensor) -> Tensor:
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def _add_norm(state: State, name: str, channels: int) -> None:
    state |= {
        f"{name}.{part}": torch.rand(channels) + 0.5 for part in ("weight", "bias", "running_mean", "running_var")
    }


def _densenet(blocks: tuple[int, ...], growth: int, width: int, dot: str) -> State:
    """Random weights with the names of https://github.com/pytorch/vision/blob/main/torchvision/models/densenet.py."""
    state = {"features.conv0.weight": torch.randn(width, 3, 7, 7) / 12}
    _add_norm(state, "features.norm0", width)
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            _add_norm(state, f"{name}.norm{dot}1", width)
            state[f"{name}.conv{dot}1.weight"] = torch.randn(4 * growth, width, 1, 1) / width**0.5
            _add_norm(state, f"{name}.norm{dot}2", 4 * growth)
            state[f"{name}.conv{dot}2.weight"] = torch.randn(growth, 4 * growth, 3, 3) / (36 * growth) ** 0.5
            width += growth
        if block < len(blocks):
            _add_norm(state, f"features.transition{block}.norm", width)
            state[f"features.transition{block}.conv.weight"] = torch.randn(width // 2, width, 1, 1) / width**0.5
            width //= 2
    _add_norm(state, "features.norm5", width)
    return state | {"classifier.weight": torch.randn(10, width), "classifier.bias": torch.randn(10)}


def _densenet_features(state: State, blocks: tuple[int, ...], dot: str, x: Tensor) -> Tensor:
    x = F.relu(_normalised(state, "features.norm0", F.conv2d(x, state["features.conv0.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            new = F.conv2d(F.relu(_normalised(state, f"{name}.norm{dot}1", x)), state[f"{name}.conv{dot}1.weight"])
            new = F.relu(_normalised(state, f"{name}.norm{dot}2", new))
            x = torch.cat([x, F.conv2d(new, state[f"{name}.conv{dot}2.weight"], padding=1)], 1)
        if block < len(blocks):
            x = F.relu(_normalised(state, f"features.transition{block}.norm", x))
            x = F.avg_pool2d(F.conv2d(x, state[f"features.transition{block}.conv.weight"]), 2)
    return F.relu(_normalised(state, "features.norm5", x))


def _resnet(widths: tuple[int, ...], depths: tuple[int, ...]) -> State:
    """Random weights with the names of https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py."""
    before = widths[0]
    state = {"conv1.weight": torch.randn(before, 3, 7, 7) / 12}
    _add_norm(state, "bn1", before)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(depth):
            name = f"layer{stage}.{block}"
            for number, channels in ((1, before), (2, width)):
                state[f"{name}.conv{number}.weight"] = torch.randn(width, channels, 3, 3) / (9 * channels) ** 0.5
                _add_norm(state, f"{name}.bn{number}", width)
            if before != width:
                state[f"{name}.downsample.0.weight"] = torch.randn(width, before, 1, 1) / before**0.5
                _add_norm(state, f"{name}.downsample.1", width)
            before = width
    return state | {"fc.weight": torch.randn(10, before), "fc.bias": torch.randn(10)}


def _resnet_features(state: State, depths: tuple[int, ...], x: Tensor) -> Tensor:
    x = F.relu(_normalised(state, "bn1", F.conv2d(x, state["conv1.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            new = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            new = F.relu(_normalised(state, f"{name}.bn1", new))
            new = _normalised(state, f"{name}.bn2", F.conv2d(new, state[f"{name}.conv2.weight"], padding=1))
            if f"{name}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = _normalised(state, f"{name}.downsample.1", x)
            x = F.relu(new + x)
    return x


@pytest.mark.parametrize("dot", ["", "."], ids=["timm's and torchvision's names", "the names in torchvision's file"])
def test_densenet(dot: str, tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    blocks = (2, 3, 1)
    state = _densenet(blocks, 4, 8, dot)
    torch.save(state, tmp_path / "densenet.pth")
    encoder = DenseNetEncoder(2, 3, block_config=blocks, growth_rate=4, init_features=8).eval()
    load_encoder(encoder, tmp_path / "densenet.pth")
    image = torch.rand(2, 3, 40, 48)
    torch.testing.assert_close(encoder(image)[-1], _densenet_features(state, blocks, dot, image))
    assert "not the encoder's: classifier. (2)" in capsys.readouterr().out


def test_resnet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    widths, depths = (4, 6, 8, 10), (2, 1, 2, 1)
    state = _resnet(widths, depths)
    torch.save(state, tmp_path / "resnet.pth")
    encoder = ResNetEncoder(2, 3, widths, depths).eval()
    load_encoder(encoder, tmp_path / "resnet.pth")
    image = torch.rand(2, 3, 40, 48)
    torch.testing.assert_close(encoder(image)[-1], _resnet_features(state, depths, image))


def test_another_networks_weights_are_refused_and_channels_are_adapted(tmp_path: Path) -> None:
    torch.save(_densenet((2, 2), 4, 8, ""), tmp_path / "densenet.pth")
    for encoder in (ResNetEncoder(2, 3), UNetEncoder(2, 3)):
        with pytest.raises(UserError, match="names begin with classifier"):
            load_encoder(encoder, tmp_path / "densenet.pth")
    with pytest.raises(UserError, match=r"unknown: features\.denseblock2\.denselayer2"):
        load_encoder(DenseNetEncoder(2, 3, (2, 1), 4, 8), tmp_path / "densenet.pth")
    grey = DenseNetEncoder(2, 1, (2, 2), 4, 8)
    with pytest.raises(UserError, match="set adapt_channels"):
        load_encoder(grey, tmp_path / "densenet.pth")
    load_encoder(grey, tmp_path / "densenet.pth", adapt_channels=True)
