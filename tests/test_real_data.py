"""Real scans, where they lie beside the project: they are prepared, pretrained on, fine-tuned on and mapped back."""

import json
from pathlib import Path

import nibabel as nib
import pytest
from commands import CONFIGS, exit_status

DATA = Path(__file__).parents[2] / "shared" / "data"


def _fit(run_dir: Path, store: Path, *options: str, stage: tuple[str, ...]) -> dict:
    files = ["base", *stage, "encoder/unet", "presets/fig3/quick/encoder"]
    layers = [argument for file in files for argument in ("-c", str(CONFIGS / f"{file}.yaml"))]
    budget = ["--data.updates", "4", "--data.validations", "2"]
    assert exit_status("fit", *layers, "--data.store", store, "--run_dir", run_dir, *budget, *options) == 0
    return json.loads((run_dir / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["Task_STS_CT", "Task04_Hippocampus"])
def test_real_scans_go_all_the_way(task: str, tmp_path: Path) -> None:
    data = DATA / task
    if not data.is_dir():
        pytest.skip(f"{task} is not beside the project (expected at ../shared/data)")
    store = tmp_path / "store"
    assert exit_status("prepare", data, "--store", store, "--size", "24") == 0
    pretraining = _fit(tmp_path / "pretrain", store, stage=("data/pretraining", "pretext/cpc"))
    assert pretraining["val_loss"] < 2 * pretraining["chance_loss"]
    pretrained = ["--model.pretrained.checkpoint", str(tmp_path / "pretrain" / "checkpoints" / "last.ckpt")]
    tuned = _fit(tmp_path / "tune", store, *pretrained, stage=("data/segmentation", "downstream/segmentation"))
    assert 0 <= tuned["metrics"]["dice_foreground_native"] <= 1
    assert exit_status("predict", "-c", tmp_path / "tune" / "config.yaml") == 0
    predictions = sorted((tmp_path / "tune" / "predictions").iterdir())
    assert predictions
    for path in predictions:
        prediction, image = nib.load(path), nib.load(data / "imagesTr" / path.name)
        assert prediction.shape == image.shape
        assert (prediction.affine == image.affine).all()
