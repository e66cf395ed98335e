"""What can fail is tried before training, not found after it."""

import importlib.metadata
from pathlib import Path

import pytest
import torch
from commands import Command, reproduce

from sslmed import pretext
from sslmed.core.errors import UserError
from sslmed.core.files import check_writable
from sslmed.downstream import Segmentation
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.training.provenance import provenance


@pytest.fixture
def no_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a run comes to its first update."""

    def training_step(self, *_: object) -> None:
        raise AssertionError("an update was made")

    for task in (pretext.PretextTask, Segmentation):
        monkeypatch.setattr(task, "training_step", training_step)


@pytest.mark.usefixtures("no_update")
@pytest.mark.parametrize("task", ["exemplar", "cpc"])
def test_a_contrastive_task_with_a_single_validation_case_fails_before_the_first_update(
    sslmed: Command, tmp_path: Path, decathlon_dataset, capsys, task: str
) -> None:
    data = decathlon_dataset(labelled=5, unlabelled=3)
    few = prepare(data, tmp_path / "few.store", PrepareSettings(size=16), jobs=1).root
    assert sslmed("fit", task, "--data.store", str(few), "--run_dir", str(tmp_path / "run")) == 2
    assert "at least 2, got 1: add labelled cases, of which a fifth are for validation" in capsys.readouterr().err


@pytest.mark.usefixtures("no_update")
def test_answers_that_cannot_be_drawn_fail_before_the_first_update(
    sslmed: Command, tmp_path: Path, monkeypatch
) -> None:
    def answers(self, outputs: torch.Tensor, targets: torch.Tensor) -> list:
        raise RuntimeError("no answers")

    monkeypatch.setattr(pretext.Rotation, "answers", answers)
    with pytest.raises(RuntimeError, match="no answers"):
        sslmed("fit", "rotation", "--run_dir", str(tmp_path / "run"))


@pytest.mark.usefixtures("no_update")
@pytest.mark.parametrize("kind", ["rotation", "segmentation"])
@pytest.mark.parametrize("name", ["", "checkpoints"])
def test_a_run_directory_that_is_a_file_is_noticed_before_training(
    sslmed: Command, tmp_path: Path, capsys, kind: str, name: str
) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("not a folder")
    assert sslmed("fit", kind, "--run_dir", str(tmp_path / "run")) == 2
    assert str(path) in capsys.readouterr().err.splitlines()[-1]


def test_provenance_needs_no_distribution_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = provenance(torch.device("cpu"))["versions"]

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert provenance(torch.device("cpu"))["versions"] == expected
    assert expected["torch"] == torch.__version__


def test_a_folder_for_output_is_looked_at_and_not_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=f"--out .*: {tmp_path / 'file'} is a file"):
            check_writable(path, "--out")
    check_writable(tmp_path / "new" / "below", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("option", ["--out", "--runs", "--downloads"])
def test_reproduce_looks_at_its_folders_first(tmp_path: Path, capsys, option: str) -> None:
    (tmp_path / "file").write_text("")
    assert reproduce(tmp_path, "fig3", f"{option}={tmp_path / 'file'}") == 2
    assert f"{option} {tmp_path / 'file'}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
