"""A run is where its config.yaml is: renamed, copied, or used from another working directory."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from commands import Command, exit_status

from sslmed.training.callbacks import History


def _score(run: Path) -> float:
    return json.loads((run / "results.json").read_text())["metrics"]["dice_foreground"]


@pytest.mark.slow
def test_a_renamed_or_copied_run_is_scored_itself_and_predicts_into_its_own_folder(
    sslmed: Command, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("store").symlink_to(store)
    for name, seed in (("a", "0"), ("c", "1")):
        options = ["--seed_everything", seed, "--data.store", "store", "--run_dir", f"runs/{name}"]
        assert sslmed("fit", "segmentation", *options) == 0
    want, other = _score(Path("runs/a")), _score(Path("runs/c"))
    assert want != other
    shutil.copytree("runs/a", "runs/b")
    Path("runs/a").rename("runs/archive")
    Path("runs/c").rename("runs/a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    capsys.readouterr()
    given = (["-c", "../runs/archive/config.yaml"], ["-c../runs/archive/config.yaml"])
    for option in (*given, [f"--config={tmp_path}/runs/b/config.yaml"]):
        assert exit_status("test", *option) == 0
        assert f"{want:.4f}" in capsys.readouterr().out
    assert exit_status("predict", "-c../runs/b/config.yaml") == 0
    assert [path.parent.name for path in tmp_path.glob("runs/*/predictions")] == ["b"]
    # What is given after the file takes precedence, as always.
    assert exit_status("test", "-c", "../runs/archive/config.yaml", "--run_dir", "../runs/a") == 0
    assert f"{other:.4f}" in capsys.readouterr().out


def test_an_unfinished_run_that_is_moved_resumes_with_its_best_score(
    sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = History.on_train_epoch_end

    def stop(self: History, trainer, module) -> None:
        # The first validation pass is the best: a resumed run must know.
        trainer.callback_metrics["val/loss"] = torch.tensor(float(trainer.global_step))
        if trainer.global_step > 2 and self.path.parent.name == "before":
            raise RuntimeError("killed")
        record(self, trainer, module)

    monkeypatch.setattr(History, "on_train_epoch_end", stop)
    with pytest.raises(RuntimeError, match="killed"):
        sslmed("fit", "rotation", "--run_dir", str(tmp_path / "before"))
    (tmp_path / "before").rename(tmp_path / "after")
    assert exit_status("fit", "-c", str(tmp_path / "after" / "config.yaml")) == 0
    assert (tmp_path / "after" / "results.json").is_file()
    assert not (tmp_path / "before").exists()
    steps = {
        name: torch.load(tmp_path / "after" / "checkpoints" / f"{name}.ckpt", weights_only=True)["global_step"]
        for name in ("best", "last")
    }
    assert steps == {"best": 2, "last": 4}


@pytest.mark.slow
def test_home_is_expanded_in_yaml_and_on_the_command_line_and_variables_are_not(
    sslmed: Command, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "store").symlink_to(store)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("run_dir: ~/runs/first\n")
    assert sslmed("fit", "rotation", "--data.store=~/store", "-c", "mine.yaml") == 0
    assert (home / "runs" / "first" / "results.json").is_file()
    config = yaml.safe_load((home / "runs" / "first" / "config.yaml").read_text())
    assert (config["run_dir"], config["data"]["init_args"]["store"]) == (str(home / "runs/first"), str(home / "store"))
    checkpoint = "--model.pretrained.checkpoint=~/runs/first/checkpoints/last.ckpt"
    assert sslmed("fit", "segmentation", checkpoint, "--run_dir", "$HOME/second") == 0
    assert (tmp_path / "$HOME" / "second" / "results.json").is_file()
    assert exit_status("phantom", "fundus", "~/eyes", "--cases", "2", "--unlabelled", "0", "--size", "32", "32") == 0
    assert (home / "eyes" / "train.csv").is_file()
    assert not (tmp_path / "~").exists()
