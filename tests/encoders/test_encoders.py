import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslmed.encoders import UNetEncoder, load_encoder
from sslmed.errors import UserError

WIDTHS = (2, 3, 4)


def _encoder(dims: int = 3, channels: int = 1, widths: tuple[int, ...] = WIDTHS) -> UNetEncoder:
    return UNetEncoder(dims, channels, widths, dropout=0.0)


@pytest.mark.parametrize("dims", [2, 3])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_every_level_halves_and_floors(dims: int, data: st.DataObject) -> None:
    sides = data.draw(st.lists(st.integers(4, 13), min_size=dims, max_size=dims))
    encoder = _encoder(dims, channels=2)
    maps = encoder(torch.rand(2, 2, *sides))
    expected = [(2, width, *(side // 2**level for side in sides)) for level, width in enumerate(WIDTHS)]
    assert [tuple(features.shape) for features in maps] == expected
    assert encoder.out_channels == WIDTHS


def test_paper_patch_of_39_ends_at_2() -> None:
    maps = UNetEncoder()(torch.rand(1, 1, 39, 39, 39))
    assert [features.shape[-1] for features in maps] == [39, 19, 9, 4, 2]
    assert [features.shape[1] for features in maps] == [16, 32, 64, 128, 256]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 1, 8, 8), "expects images (B, 1, I, J, K)"),
        ((1, 2, 8, 8, 8), "got (1, 2, 8, 8, 8)"),
        ((1, 1, 8, 3, 8), "at least 4"),
    ],
)
def test_images_it_cannot_take_are_refused_with_the_numbers(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        _encoder()(torch.rand(shape))


def _save(path, encoder) -> None:
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    torch.save({"state_dict": state | {"head.weight": torch.rand(3)}}, path)


def test_load_takes_every_tensor_and_reports_it(tmp_path, capsys) -> None:
    source, target = _encoder(), _encoder()
    source(torch.rand(2, 1, 8, 8, 8))  # moves the running statistics away from their start
    _save(tmp_path / "last.ckpt", source)
    load_encoder(target, tmp_path / "last.ckpt")
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())
    assert f"{len(source.state_dict())} loaded, 0 missing, 0 mismatched, 0 unknown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_encoder(widths=(2, 3)), "missing: blocks.2.0.conv.weight"),
        (_encoder(widths=(2, 3, 4, 5)), "unknown: blocks.3.0.conv.weight"),
        (_encoder(channels=2), r"blocks.0.0.conv.weight \(checkpoint \(2, 2, 3, 3, 3\), encoder \(2, 1, 3, 3, 3\)\)"),
    ],
)
def test_load_refuses_an_encoder_that_differs_and_changes_nothing(tmp_path, other, words) -> None:
    _save(tmp_path / "last.ckpt", other)
    target = _encoder()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(UserError, match=words):
        load_encoder(target, tmp_path / "last.ckpt")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_load_refuses_files_that_are_no_checkpoint(tmp_path) -> None:
    (tmp_path / "broken.ckpt").write_bytes(b"PK not a zip")
    torch.save({"state_dict": {"decoder.weight": torch.rand(2)}}, tmp_path / "decoder.ckpt")
    for name, words in [("absent", "no such checkpoint"), ("broken", "not a checkpoint"), ("decoder", "no encoder")]:
        with pytest.raises(UserError, match=words):
            load_encoder(_encoder(), tmp_path / f"{name}.ckpt")
