"""A user's own pretext task, encoder, preset and figure, in a folder of theirs, through the real command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from commands import exit_status, in_this_process, reproduce

HERE = Path(__file__).parent
MODULE = HERE.parent / "helpers" / "outside.py"

TASK = {"model": {"class_path": "my_ideas.Inpainting", "init_args": {"patch": 3}}}
ENCODER = {
    "model": {
        "init_args": {"encoder": {"class_path": "my_ideas.PatchTransformer", "init_args": {"reductions": [2, 4]}}}
    }
}
FIGURE = {
    **{"figure": "mine", "task": "segmentation", "phantom": "pancreas", "metrics": ["dice_foreground"]},
    **{"encoder": "vit.yaml", "finetuning": ["data/segmentation.yaml", "downstream/segmentation.yaml"]},
    **{
        "arms": {"baseline": None, "inpainting": "inpainting.yaml", "rotation": "pretext/rotation.yaml"},
        "fractions": [1.0],
    },
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a module, the YAML files of a task, an encoder and a figure, and a preset."""
    folder = tmp_path / "mine"
    shutil.copytree(HERE / "tiny", folder / "small")
    shutil.copy(MODULE, folder / "my_ideas.py")
    for name, content in (("inpainting", TASK), ("vit", ENCODER), ("figure", FIGURE)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (folder / "small" / "inpainting.yaml").write_text("model: {init_args: {hidden_fraction: 0.3}}")
    (folder / "small" / "finetune.yaml").write_text(
        "data: {init_args: {batch_size: 2, updates: 6, validations: 3}}\nmodel: {init_args: {pretrained: {load: all}}}"
    )
    return folder


@pytest.mark.slow
def test_an_own_task_and_an_own_encoder_go_through_a_whole_figure(
    mine: Path, tmp_path: Path, decathlon_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    in_this_process(monkeypatch)
    preset, pool = str(mine / "small"), decathlon_dataset("Pool", labelled=0, unlabelled=6)
    task = str(mine / "inpainting.yaml")
    arms = ["baseline", task, f"{task}-2d"]
    options = ["--preset", preset, "--arms", *arms, "--encoder", str(mine / "vit.yaml"), "--fractions", "1"]
    assert reproduce(tmp_path, "fig3", *options, "--wandb", "offline") == 0
    assert f"{mine}/small/encoder.yaml: is ignored, as it is for UNetEncoder" in capsys.readouterr().err

    out = tmp_path / "out" / "fig3" / "phantom-small-vit"
    results = pd.read_csv(out / "results.csv")
    assert set(results["arm"]) == {"baseline", "inpainting", "inpainting-2d"}
    assert set(results["preset"]) == {"small-vit"}
    report = (out / "report.html").read_text()
    assert report.count("filled in</li>") == 2 * 2  # of both arms, for each validation case
    runs = tmp_path / "runs" / "fig3" / "phantom-small-vit"
    pretraining = runs / "inpainting" / "fold0" / "pretrain"
    config = yaml.safe_load((pretraining / "config.yaml").read_text())["model"]
    assert config["class_path"] == "my_ideas.Inpainting"
    assert (config["init_args"]["patch"], config["init_args"]["hidden_fraction"]) == (3, 0.3)
    assert config["init_args"]["encoder"]["class_path"] == "my_ideas.PatchTransformer"
    assert list(runs.glob("inpainting/fold0/pretrain/wandb/offline-run-*/files/media/images/answers_*.png"))
    tuned = runs / "inpainting" / "fold0" / "seed0" / "100"
    assert "decoder tensors from" in (tuned / "run.log").read_text()

    # The network of a run is found again by another process, from any folder.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "sslmed", "predict", "-c", str(tuned / "config.yaml")]
    ended = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert list((tuned / "predictions").iterdir())
    # The same command again has nothing to do; with a pool, variants of the task would be pretrained on it.
    arms = ["baseline", task, f"{task}-external"]
    options = ["--preset", preset, "--arms", *arms, "--encoder", str(mine / "vit.yaml"), "--fractions", "1"]
    assert _plan(tmp_path, "fig3", *options, "--pool", str(pool)) == 0
    planned = capsys.readouterr().out
    assert "runs: 5, of which 3 are done and 2 are to do" in planned
    assert "inpainting-external/fold0/pretrain" in planned


@pytest.mark.long
@pytest.mark.slow
def test_an_own_figure_finds_its_files_beside_it_and_among_ours(mine: Path, tmp_path: Path, capsys) -> None:
    figure = str(mine / "figure.yaml")
    (mine / "small" / "encoder.yaml").write_text("model: {init_args: {encoder: {init_args: {width: 8}}}}")
    assert reproduce(tmp_path, figure, "--preset", mine / "small") == 2
    assert "rotation: rotation has no decoder to transfer; " in (told := capsys.readouterr().err)
    assert told.strip().endswith("; or set pretrained.load to encoder")
    shutil.copy(HERE / "tiny" / "finetune.yaml", mine / "small")
    assert reproduce(tmp_path, figure, "--preset", mine / "small") == 0
    out = tmp_path / "out" / "mine" / "phantom-small"
    results = pd.read_csv(out / "results.csv")
    assert set(results["arm"]) == {"baseline", "inpainting", "rotation"}
    assert (out / "mine.png").is_file()
    run = tmp_path / "runs" / "mine" / "phantom-small" / "inpainting" / "fold0" / "pretrain"
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert len(weights["encoder.embed.0.bias"]) == 8
    record = json.loads((run / "results.json").read_text())
    assert 0 < record["chance_loss"] < 0.3  # the variance of intensities from 0 to 1
    report = out / "report.html"
    before = report.read_bytes()
    assert exit_status("report", run.parents[2], "--out", tmp_path / "out") == 0
    assert report.read_bytes() == before


def _plan(folder: Path, figure: str, *options: object) -> int:
    return reproduce(folder, figure, "--dry-run", *options)


def test_names_that_are_taken_and_files_that_are_not_there_are_refused(mine: Path, tmp_path: Path, capsys) -> None:
    for name in ("rotation", "baseline", "null-2", "finetune", "mine-2d", "of mine"):
        shutil.copy(mine / "inpainting.yaml", mine / f"{name}.yaml")
    (mine / "other").mkdir()
    shutil.copy(mine / "inpainting.yaml", mine / "other" / "inpainting.yaml")
    figures = {
        "taken": FIGURE | {"figure": "fig3"},
        "lost": FIGURE | {"encoder": "nowhere.yaml"},
        "wrong": FIGURE | {"arm": 1},
    }
    for name, content in figures.items():
        (mine / f"{name}.yaml").write_text(yaml.safe_dump(content))
    small = ["--preset", str(mine / "small")]
    for figure, options, words in [
        *[
            (
                "fig3",
                ["--arms", "baseline", str(mine / f"{name}.yaml")],
                f"{name} is already the name of something else",
            )
            for name in ("rotation", "baseline", "null-2", "finetune", "mine-2d")
        ],
        (
            "fig3",
            ["--arms", str(mine / "inpainting.yaml"), str(mine / "other" / "inpainting.yaml")],
            "inpainting is already the name of something",
        ),
        ("fig3", ["--arms", "baseline", str(mine / "of mine.yaml")], "may contain letters, digits"),
        ("fig3", ["--arms", "baseline", str(mine / "absent.yaml")], "absent.yaml: no such file"),
        (
            "fig3",
            ["--encoder", "vgg"],
            "unknown encoder vgg: choose from densenet, residual, residual-l, resnet, swin, unet",
        ),
        ("fig3", ["--encoder", "absent.yaml"], "absent.yaml: no such file"),
        ("absent.yaml", [], "or give the path of a YAML like theirs"),
        (str(mine / "taken.yaml"), [], "expected a name of its own"),
        (str(mine / "lost.yaml"), [], "names nowhere.yaml, which is neither"),
        (str(mine / "wrong.yaml"), [], "arm"),
        (str(mine / "figure.yaml"), ["--preset", "quick"], "choose classification/quick"),
    ]:
        assert _plan(tmp_path, figure, *(options if "--preset" in options else [*small, *options])) == 2, words
        assert words in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "folder_of_module", ["beside the YAML", pytest.param("the working folder", marks=pytest.mark.slow)]
)
def test_a_module_lies_beside_the_yaml_or_in_the_working_folder(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, folder_of_module: str
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.curdir)])
    monkeypatch.delitem(sys.modules, "my_ideas", raising=False)
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    options = ["--preset", str(mine / "small"), "--arms", "baseline", str(mine / "inpainting.yaml")]
    if folder_of_module == "the working folder":
        (mine / "my_ideas.py").rename(working / "my_ideas.py")
    assert _plan(tmp_path, "fig3", *options) == 0
    assert "│ inpainting " in capsys.readouterr().out


def test_another_encoder_of_ours_drops_the_presets_overlay_and_says_so(tmp_path: Path, capsys) -> None:
    assert _plan(tmp_path, "fig3", "--encoder", "resnet", "--arms", "baseline") == 0
    shown = capsys.readouterr()
    assert "fig3/quick/encoder.yaml: is ignored, as it is for UNetEncoder" in shown.err
    assert "phantom-quick-resnet" in shown.out


@pytest.mark.slow
def test_a_preset_of_another_figure_leaves_its_encoder_there(mine: Path, tmp_path: Path, capsys) -> None:
    assert _plan(tmp_path, str(mine / "figure.yaml"), "--preset", "fig3/quick") == 0
    assert "fig3/quick/encoder.yaml: is ignored, as it is for UNetEncoder" in capsys.readouterr().err
