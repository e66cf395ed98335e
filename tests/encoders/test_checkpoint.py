import os
from argparse import Namespace
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from families import ENCODERS

from sslmed.core.errors import UserError
from sslmed.encoders import Encoder, UNetEncoder, load_encoder
from sslmed.encoders.checkpoint import load_decoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.weights_file import NESTED

every_encoder = pytest.mark.parametrize("build", [partial(each, 2) for each in ENCODERS.values()], ids=ENCODERS)


def _encoder(dims: int = 3, channels: int = 1, widths: tuple[int, ...] = (2, 3, 4)) -> UNetEncoder:
    return UNetEncoder(dims, channels, widths, dropout=0.0)


def _save(path, encoder: Encoder):
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    torch.save({"state_dict": state | {"head.weight": torch.rand(3)}}, path)
    return path


@every_encoder
def test_load_takes_every_tensor_and_reports_it(build, tmp_path, capsys):
    source, target = build(3), build(3)
    source(torch.rand(2, 3, 32, 32))  # moves the running statistics away from their start
    load_encoder(target, _save(tmp_path / "last.ckpt", source))
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())
    assert f": {len(source.state_dict())} loaded, 0 missing, 0 mismatched, 0 unknown\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_encoder(widths=(2, 3)), "missing: blocks.2.0.conv.weight"),
        (_encoder(widths=(2, 3, 4, 5)), "unknown: blocks.3.0.conv.weight"),
        (_encoder(channels=2, widths=(3, 3, 4)), "pretrain and fine-tune with the same settings"),
        (_encoder(channels=2), r"blocks.0.0.conv.weight \(checkpoint \(2, 2, 3, 3, 3\), network \(2, 1, 3, 3, 3\)\)"),
        (_encoder(channels=2), "only the number of input channels differs: set adapt_channels"),
    ],
)
def test_load_refuses_an_encoder_that_differs_and_changes_nothing(tmp_path, other, words):
    target = _encoder()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(UserError, match=words):
        load_encoder(target, _save(tmp_path / "last.ckpt", other))
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@every_encoder
@pytest.mark.parametrize(("old", "new"), [(2, 4), (3, 1), (1, 3)])
def test_adapted_to_other_channels_equal_channels_give_what_they_gave(build, old, new, tmp_path, capsys):
    torch.manual_seed(0)  # a layer norm over few features can enlarge differences of rounding
    source, target = build(old).eval(), build(new).eval()
    own = target.state_dict()
    (first,) = (key for key, value in source.state_dict().items() if value.shape != own[key].shape)
    load_encoder(target, _save(tmp_path / "last.ckpt", source), adapt_channels=True)
    image = torch.rand(2, 1, 32, 48)
    for before, now in zip(source(image.repeat(1, old, 1, 1)), target(image.repeat(1, new, 1, 1)), strict=True):
        torch.testing.assert_close(now, before, atol=1e-5, rtol=1e-5)
    # By hand: every new channel has the old ones' sum, shared out equally.
    pretrained, adapted = source.state_dict()[first].numpy(), target.state_dict()[first].numpy()
    for channel in range(new):
        assert adapted[:, channel] == pytest.approx(pretrained.sum(1) / new, abs=1e-6)
    others = [key for key in target.state_dict() if key != first]
    assert all(torch.equal(source.state_dict()[key], target.state_dict()[key]) for key in others)
    assert f"0 unknown; {first} adapted from {old} to {new} input channels\n" in capsys.readouterr().out


def test_adapting_leaves_equal_channels_alone_and_bends_no_other_rule(tmp_path, capsys):
    source, target = _encoder(channels=2), _encoder(channels=2)
    load_encoder(target, _save(tmp_path / "same.ckpt", source), adapt_channels=True)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())
    assert "adapted" not in capsys.readouterr().out
    for other in (_encoder(widths=(2, 3)), _encoder(widths=(3, 3, 4)), _encoder(dims=2)):
        with pytest.raises(UserError, match="nothing was loaded"):
            load_encoder(target, _save(tmp_path / "other.ckpt", other), adapt_channels=True)
    # A checkpoint whose second convolution alone saw other channels.
    odd = _encoder(channels=2)
    odd.blocks[0][1].conv.weight = torch.nn.Parameter(torch.rand(2, 5, 3, 3, 3))
    with pytest.raises(UserError, match=r"mismatched: blocks\.0\.1\.conv\.weight"):
        load_encoder(target, _save(tmp_path / "odd.ckpt", odd), adapt_channels=True)


def test_load_refuses_files_that_are_no_checkpoint(tmp_path):
    (tmp_path / "broken.ckpt").write_bytes(b"PK not a zip")
    torch.save({"state_dict": {"decoder.weight": torch.rand(2)}}, tmp_path / "decoder.ckpt")
    for name, words in [("absent", "no such checkpoint"), ("broken", "not a checkpoint"), ("decoder", "no encoder")]:
        with pytest.raises(UserError, match=words):
            load_encoder(_encoder(), tmp_path / f"{name}.ckpt")


class Stage(Enum):
    LAST = "last"


class Runs:
    """Runs a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("name", NESTED)
def test_what_is_beside_the_tensors_is_neither_needed_nor_run(name, tmp_path, capsys):
    encoder, path, touched = _encoder(), tmp_path / "theirs.pth", tmp_path / "touched"
    weights = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    beside = {
        "args": Namespace(lr=1, out=Path("x")),
        "scores": [np.float64(1), np.arange(3)],
        "by": {Stage.LAST: 1, np.int64(2): Stage},
        "code": Runs(exec, f"open({str(touched)!r}, 'w')"),
    }
    torch.save({name: weights, **beside}, path)
    load_encoder(_encoder(), path)
    assert f": {len(weights)} loaded, 0 missing" in capsys.readouterr().out
    torch.save({name: weights, "code": Runs(os.system, f"touch {touched}")}, path)
    with pytest.raises(UserError, match="not a checkpoint") as refused:
        load_encoder(_encoder(), path)
    assert "weights_only" not in str(refused.value)
    assert "only if you trust" not in str(refused.value)
    assert not touched.exists()


def test_a_decoder_is_handed_over_but_for_its_last_layer(tmp_path, capsys):
    encoder = _encoder()
    source, target = UNetDecoder(encoder, 1), UNetDecoder(encoder, 3)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"decoder.{key}": value for key, value in source.state_dict().items()}}, path)
    load_decoder(target, path)
    for key, value in target.state_dict().items():
        assert torch.equal(value, before[key] if key.startswith("output.") else source.state_dict()[key])
    assert f": {len(before) - 2} loaded, 0 missing, 0 mismatched, 0 unknown; its last" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"does not fit UNetDecoder(.|\n)*missing: blocks.1.0.conv.weight"):
        load_decoder(UNetDecoder(_encoder(widths=(2, 3, 4, 5)), 3), _without(path, "blocks.1.0.conv.weight"))
    with pytest.raises(UserError, match=r"holds no decoder .*names begin with encoder\. .*pretrained.load to encoder"):
        load_decoder(target, _save(path, encoder))


def _without(path, key):
    state = torch.load(path, weights_only=True)["state_dict"]
    del state[f"decoder.{key}"]
    torch.save({"state_dict": state}, path)
    return path


FOREIGN = {"module.net.": "encoder.", "module.net.blocks.2.": "encoder.blocks.2."}


@pytest.mark.parametrize("nested", [None, "state_dict", "network_weights", "model"])
def test_foreign_weights_are_loaded_by_a_key_map_and_what_is_left_is_named(nested, tmp_path, capsys):
    source, target = _encoder(), _encoder()
    state = {f"module.net.{key}": value for key, value in source.state_dict().items()}
    state |= {"fc.weight": torch.rand(2), "fc.bias": torch.rand(2)}
    torch.save(state if nested is None else {nested: state, "epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"names begin with fc\. \(2\), module\. \(\d+\): give a key_map"):
        load_encoder(target, tmp_path / "other.pth")
    load_encoder(target, tmp_path / "other.pth", key_map=FOREIGN)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())
    said = capsys.readouterr().out
    assert f": {len(source.state_dict())} loaded, 0 missing, 0 mismatched, 0 unknown\n" in said
    assert "not the encoder's: fc. (2)" in said


def test_a_key_map_that_does_not_fit_is_refused(tmp_path):
    torch.save({"a.weight": torch.rand(2), "b.weight": torch.rand(2)}, tmp_path / "other.pth")
    for key_map, words in [
        ({"c.": "encoder."}, r"begins with 'c\.', which key_map replaces; names begin with a\. \(1\), b\. \(1\)"),
        ({"a.": "encoder.", "b.": "encoder."}, r"two tensors the name encoder\.weight"),
        ({"": "encoder."}, "unknown: a.weight"),
    ]:
        with pytest.raises(UserError, match=words):
            load_encoder(_encoder(), tmp_path / "other.pth", key_map=key_map)


def test_a_run_directory_stands_for_its_checkpoint(tmp_path):
    source, target = _encoder(), _encoder()
    (tmp_path / "checkpoints").mkdir()
    _save(tmp_path / "checkpoints" / "last.ckpt", source)
    load_encoder(target, tmp_path)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())
    with pytest.raises(UserError, match="no such checkpoint; give a folder with"):
        load_encoder(target, tmp_path / "checkpoints")
