"""Real scans, where they lie beside the project: they are prepared, pretrained on, fine-tuned on and mapped back."""

import json
from pathlib import Path

import nibabel as nib
import pytest

from sslmed import cli
from sslmed.experiments.settings import config_root

DATA = Path(__file__).parents[2] / "shared" / "data"
CONFIGS = config_root()


def _run(*arguments: str) -> None:
    status = 0
    try:
        cli.main(list(arguments))
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 0


def _fit(run_dir: Path, store: Path, *options: str, stage: tuple[str, ...]) -> dict:
    files = ["base", *stage, "encoder/unet", "presets/fig3/quick/encoder"]
    layers = [argument for file in files for argument in ("-c", str(CONFIGS / f"{file}.yaml"))]
    budget = ["--data.updates", "4", "--data.validations", "2"]
    _run("fit", *layers, "--data.store", str(store), "--run_dir", str(run_dir), *budget, *options)
    return json.loads((run_dir / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["Task_STS_CT", "Task04_Hippocampus"])
def test_real_scans_go_all_the_way(task: str, tmp_path: Path) -> None:
    data = DATA / task
    if not data.is_dir():
        pytest.skip(f"{task} is not beside the project (expected at ../shared/data)")
    store = tmp_path / "store"
    _run("prepare", str(data), "--store", str(store), "--size", "24")
    pretraining = _fit(tmp_path / "pretrain", store, stage=("data/pretraining", "pretext/cpc"))
    assert pretraining["val_loss"] < 2 * pretraining["chance_loss"]
    pretrained = ["--model.pretrained.checkpoint", str(tmp_path / "pretrain" / "checkpoints" / "last.ckpt")]
    tuned = _fit(tmp_path / "tune", store, *pretrained, stage=("data/segmentation", "downstream/segmentation"))
    assert 0 <= tuned["metrics"]["dice_foreground_native"] <= 1
    _run("predict", "-c", str(tmp_path / "tune" / "config.yaml"))
    predictions = sorted((tmp_path / "tune" / "predictions").iterdir())
    assert predictions
    for path in predictions:
        prediction, image = nib.load(path), nib.load(data / "imagesTr" / path.name)
        assert prediction.shape == image.shape
        assert (prediction.affine == image.affine).all()
