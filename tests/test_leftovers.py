"""What a kill leaves behind is whole, and the next process clears away the rest."""

import pickle
import tempfile
from pathlib import Path

import pytest
import torch

from sslmed.core.files import remove_leftovers, write_text
from sslmed.training.checkpoints import AtomicCheckpointIO
from sslmed.training.run_directory import RunDirectory


class Unwritable:
    def __reduce__(self) -> None:
        raise pickle.PicklingError


def test_a_checkpoint_is_written_beside_its_place_and_an_interrupted_one_leaves_the_old(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "another file system"))
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weight": torch.ones(2)}, path)
    with pytest.raises(pickle.PicklingError):
        AtomicCheckpointIO().save_checkpoint({"weight": torch.zeros(2), "other": Unwritable()}, path)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [1, 1]
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_a_run_that_goes_on_removes_what_a_killed_writer_left(tmp_path):
    run = RunDirectory(tmp_path)
    write_text(run.last, "checkpoint")
    for leftover in (tmp_path / "results.json.17.partial", run.checkpoints / "last.ckpt.17.partial"):
        leftover.touch()
    run.begin("data: {}", {})
    assert {path.name for path in tmp_path.rglob("*")} == {"checkpoints", "last.ckpt", "config.yaml", "data.json"}


def test_only_leftovers_are_removed(tmp_path: Path):
    for name in ("results.csv", "results.csv.17.partial", "notes.partial.txt"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv", "notes.partial.txt"}
    remove_leftovers(tmp_path / "absent")
