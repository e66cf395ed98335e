"""From volumes of different sizes, trained on in crops, to a final model: the real command."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from commands import TINY, exit_status, reproduce

from sslmed.exporting.card import write_card
from sslmed.exporting.description import Description
from sslmed.exporting.trained_run import read_run


@pytest.fixture
def dataset(decathlon_dataset) -> Path:
    """10 labelled and 3 unlabelled volumes, of which every third is shorter than the others, and than the crops."""
    root = decathlon_dataset(labelled=10, unlabelled=3, shape=(20, 18, 14))
    for number in range(0, 13, 3):
        for path in root.glob(f"*/case_{number:02d}.nii.gz"):
            volume = nib.load(path)
            nib.save(nib.Nifti1Image(np.asarray(volume.dataobj)[:, 4:, 4:], volume.affine), path)
    return root


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_volumes_of_different_sizes_are_compared_in_crops_and_end_in_a_final_model(
    dataset: Path, tmp_path: Path, capsys
) -> None:
    preset = shutil.copytree(TINY, tmp_path / "crops")
    (preset / "run.yaml").write_text("data: {init_args: {crop_size: [12, 12, 12]}}\n")
    text = (preset / "preset.yaml").read_text()
    spacing = "prepare: {geometry: spacing, spacing: [0.8, 0.8, 2.5]}"
    (preset / "preset.yaml").write_text(text.replace("prepare: {geometry: cube, size: 12}", spacing))
    command = [tmp_path, "segmentation", "--data", dataset, "--preset", preset]

    assert reproduce(*command, "--final") == 2
    assert "name one by --arms" in capsys.readouterr().err
    assert reproduce(*command, "--arms", "baseline", "jigsaw", "--labels", "all") == 0
    out = tmp_path / "out" / "segmentation" / "Task00_Toy-crops"
    tables = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    capsys.readouterr()

    assert reproduce(*command, "--final") == 0
    printed = capsys.readouterr().out
    work = tmp_path / "runs" / "segmentation" / "Task00_Toy-crops"
    scores = {}
    for arm in ("baseline", "jigsaw"):
        results = json.loads((work / arm / "fold0" / "seed0" / "100" / "results.json").read_text())
        scores[arm] = results["validation"][-1]["val/dice_foreground"]
    best = max(scores, key=scores.get)
    run = work / best / "final" / "seed0" / "100"
    assert f"sslmed predict --model {run}" in printed
    results = json.loads((run / "results.json").read_text())
    assert (results["final"], results["metrics"], results["n_labels"]) == (True, {}, 10)
    seen = json.loads((run / "data.json").read_text())
    assert len(seen["training"]) == 10
    assert "test" not in seen
    assert not (run / "cases.csv").exists()
    assert {path.name: path.read_bytes() for path in out.glob("*.csv")} == tables

    summary = pd.read_csv(out / "summary.csv")
    row = summary[(summary["arm"] == best) & (summary["metric"] == "dice_foreground")].iloc[0]
    assert f"{row['mean']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f}" in printed
    write_card(tmp_path / "card.md", Description.of_run(read_run(run)), name="x", form="safetensors", licence="mit")
    card = (tmp_path / "card.md").read_text()
    assert "trained on all labelled cases, with no test set" in card
    assert f"| foreground Dice | {row['mean']:.3f} |" in card
    assert "model-index" not in card

    (preset / "run.yaml").write_text("data: {init_args: {crop_size: [12, 12, 12], batch_size: 1}}\n")
    assert reproduce(*command, "--final", "--arms", best) == 0
    said = capsys.readouterr()
    assert f"what to expect is not known: {work} has no finished run of {best} with these settings" in said.err
    assert "found" not in said.out
    assert not (run / "expected.json").exists()
    (preset / "run.yaml").write_text("data: {init_args: {crop_size: [12, 12, 12]}}\n")
    assert reproduce(*command, "--final") == 0
    assert "found dice_foreground" in capsys.readouterr().out

    assert reproduce(*command, "--final", "--arms", "baseline", "jigsaw") == 2
    assert "--final trains one arm" in capsys.readouterr().err
    times = {path: path.stat().st_mtime_ns for path in work.rglob("results.json")}
    assert reproduce(*command, "--final", "--arms", "jigsaw") == 0  # of an arm by name
    assert reproduce(*command, "--final") == 0
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    pretraining = json.loads((work / "jigsaw" / "final" / "pretrain" / "data.json").read_text())
    assert len(pretraining["training"]) == 13
    assert exit_status("test", "-c", run / "config.yaml") == 2
    assert "a final model has no test cases" in capsys.readouterr().err
    assert exit_status("predict", "--model", run, "--images", dataset / "imagesTs", "--out", tmp_path / "masks") == 0
    for path in (dataset / "imagesTs").iterdir():
        assert nib.load(tmp_path / "masks" / path.name).shape == nib.load(path).shape


def test_probes_are_refused_if_the_best_arm_is_not_pretrained(
    dataset: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    for arm, status in (("baseline", 2), ("rotation", 0)):
        monkeypatch.setattr("sslmed.experiments.final._best_arm", lambda work, compared, best=arm: best)
        options = ["--data", dataset, "--preset", TINY, "--final", "--probes", "--dry-run"]
        assert reproduce(tmp_path, "segmentation", *options) == status
    assert capsys.readouterr().err.startswith("--probes: no arm is pretrained on the images of --data")
