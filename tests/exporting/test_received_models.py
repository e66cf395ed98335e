"""Whoever receives a model learns what is known of its pretraining: that it failed, or that nothing is known."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import exit_status, fit
from safetensors.torch import load_file, save_file
from trained_runs import Trained

from sslmed.exporting.card import write_card
from sslmed.exporting.description import Description
from sslmed.exporting.trained_run import read_run
from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import PrepareSettings, prepare

FAILED = "the task was not learned: the validation loss, "


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretraining run that learned nothing, as it had no time, and two that started from its checkpoints; moved."""
    root = tmp_path_factory.mktemp("there")
    KINDS["pancreas"](root / "volumes", cases=7, unlabelled=1, size=(24, 20, 16), jobs=1)
    store = prepare(root / "volumes", root / "cubes", PrepareSettings(size=16), jobs=1).root
    pretraining = fit("rotation", store, root / "runs" / "rotation")
    start = "--model.pretrained.checkpoint"
    fit("segmentation", store, root / "runs" / "tuned", start, str(pretraining))
    shutil.move(root / "runs", moved := tmp_path_factory.mktemp("here") / "runs")
    return moved


def test_card_and_commands_say_that_pretraining_learned_nothing(
    runs: Path, trained: Trained, tmp_path: Path, capsys, caplog
) -> None:
    logged = (runs / "rotation" / "run.log").read_text()
    scan = trained.images["segmentation"]
    for run in ("tuned", "rotation"):
        assert exit_status("export", runs / run, tmp_path / run) == 0
        (said,) = capsys.readouterr().err.splitlines()
        warning = said.removeprefix(f"{runs / run}: in pretraining, ")
        assert warning.startswith(FAILED)
        assert warning in logged
        assert f"**Warning: in pretraining, {warning}.**" in (tmp_path / run / "README.md").read_text()
    both = (runs / "tuned", tmp_path / "tuned")
    predict = ["predict", "--model", *both, "--images", scan, "--out", tmp_path / "masks"]
    assert exit_status(*predict) == 2
    assert f"--model {both[1]}: is the same network as {both[0]}" in capsys.readouterr().err
    weights = load_file(both[1] / "model.safetensors")
    save_file({name: 0.9 * value for name, value in weights.items()}, both[1] / "model.safetensors")
    assert exit_status(*predict) == 0
    (line,) = [record.message for record in caplog.records if FAILED in record.message]
    assert line == f"{both[0]}, {both[1]}: in pretraining, {warning}"


def test_what_was_handed_over_counts_and_a_copy_without_it_says_that_nothing_is_known(
    runs: Path, trained: Trained, tmp_path: Path
) -> None:
    copied = shutil.copytree(runs, tmp_path / "runs")
    results = copied / "rotation" / "results.json"
    record = json.loads(results.read_text())
    record["validation"] = [{"val/loss": loss, "val/chance_loss": 2.0} for loss in (1.0, None)]
    results.write_text(json.dumps(record))
    assert read_run(copied / "tuned").pretraining_warnings == [f"{FAILED}not finite, is not 2 % below guessing, 2"]
    config = copied / "tuned" / "config.yaml"
    for name, warned in (("last", True), ("best", False)):
        config.write_text(re.sub(r"/rotation(/.*)?\n", f"/rotation/checkpoints/{name}.ckpt\n", config.read_text()))
        assert bool(read_run(copied / "tuned").pretraining_warnings) == warned
    shutil.rmtree(copied / "rotation")
    cards = {}
    for run in (copied / "tuned", trained["segmentation"]):
        write_card(tmp_path / "card.md", Description.of_run(read_run(run)), name="x", form="safetensors", licence="mit")
        cards[run.name] = (tmp_path / "card.md").read_text()
    assert "| starts from | a pretrained encoder; it is not known whether pretraining has learned" in cards["tuned"]
    assert "| starts from | random weights |" in cards["segmentation"]
    assert "Warning" not in cards["tuned"] + cards["segmentation"]


@pytest.mark.parametrize("known", [True, False])
def test_the_card_of_a_final_model_says_whether_pretraining_helped(runs: Path, tmp_path: Path, known: bool) -> None:
    described = Description.of_run(read_run(runs / "tuned"))
    expected = {"metric": "hd95_class_1", "mean": 9.0, "ci_low": 8.0, "ci_high": 10.0, "n_labels": 30, "n_runs": 5}
    difference = dict(zip(("diff", "diff_low", "diff_high"), (-1.5, -3.0, None) if known else [None] * 3, strict=True))
    final = replace(described, run=described.run | {"scores": [], "final": True, "expected": [expected | difference]})
    write_card(tmp_path / "card.md", final, name="x", form="safetensors", licence="mit")
    card = (tmp_path / "card.md").read_text()
    name = "95 % Hausdorff distance of pancreas (mm), lower is better"
    ends = "-1.500 | – |" if known else "– | – |"  # noqa: RUF001
    assert f"|---|---|---|---|---|\n| {name} | 9.000 | 8.000 to 10.000 | {ends}\n\n" in card
    assert ("These runs do not tell whether pretraining helps." in card) != known
