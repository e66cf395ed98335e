"""The real command on generated data: runs, resumption, hand-over, errors."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from sslmed import cli
from sslmed.downstream.examples import load_examples
from sslmed.experiments.settings import config_root
from sslmed.preparation.prepare import PrepareSettings, prepare
from sslmed.preparation.store import Store

CONFIGS = config_root()
TASKS = sorted(path.stem for path in (CONFIGS / "pretext").glob("*.yaml"))
SMALL = {"model": {"init_args": {"encoder": {"init_args": {"widths": [4, 8], "dropout": 0.1}}}}}
Command = Callable[..., int]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    from sslmed.phantoms import KINDS

    folder = tmp_path_factory.mktemp("data")
    KINDS["pancreas"](folder / "phantom", cases=12, unlabelled=4, size=(24, 24, 16), jobs=1)
    return prepare(folder / "phantom", folder / "store", PrepareSettings(size=16), jobs=1).root


@pytest.fixture
def sslmed(store: Path, tmp_path: Path) -> Command:
    """Run the command in this process and return its exit status."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))

    def run(subcommand: str, kind: str, *options: str) -> int:
        downstream = kind in ("segmentation", "classification")
        stage = [f"data/{kind}", f"downstream/{kind}"] if downstream else ["data/pretraining", f"pretext/{kind}"]
        files = [CONFIGS / f"{name}.yaml" for name in ("base", *stage, "encoder/unet")] + [tmp_path / "small.yaml"]
        arguments = [argument for file in files for argument in ("-c", str(file))]
        budget = ["--data.batch_size", "2", "--data.updates", "4", "--data.validations", "2"]
        return _exit_status([subcommand, *arguments, "--data.store", str(store), *budget, *options])

    return run


def _exit_status(arguments: list[str]) -> int:
    try:
        cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_pretrains_and_leaves_a_complete_run_directory(sslmed: Command, tmp_path: Path, task: str) -> None:
    assert sslmed("fit", task, "--run_dir", str(tmp_path / "run")) == 0
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    expected = {
        "config.yaml",
        "preparation.json",
        "metrics.csv",
        "run.log",
        "results.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "answers.png",
    }
    assert expected <= names <= expected | {".lock"}
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["kind"] == "pretrain"
    assert all(": " in answer for answer in results["answers"])
    assert np.isfinite([results["val_loss"], results["chance_loss"]]).all()
    assert [row["update"] for row in results["validation"]] == [2, 4]


def test_a_finetuning_run_starts_from_every_pretrained_tensor_and_is_scored(
    sslmed: Command, tmp_path: Path, store: Path
) -> None:
    assert sslmed("fit", "rotation", "--run_dir", str(tmp_path / "pretrain")) == 0
    pretrained = tmp_path / "pretrain" / "checkpoints" / "last.ckpt"
    # A learning rate of zero and a frozen encoder: what is saved is what training started from.
    still = [
        "--model.optimization.optimizer=torch.optim.SGD",
        "--model.optimization.optimizer.lr=0",
        "--model.pretrained.frozen_fraction=1",
    ]
    options = ["--model.pretrained.checkpoint", str(pretrained), "--run_dir", str(tmp_path / "tune"), *still]
    assert sslmed("fit", "segmentation", *options) == 0
    before, after = _weights(pretrained), _weights(tmp_path / "tune" / "checkpoints" / "last.ckpt")
    keys = [key for key in after if key.startswith("encoder.")]
    assert keys
    assert all(torch.equal(after[key], before[key]) for key in keys)

    cases = pd.read_csv(tmp_path / "tune" / "cases.csv")
    results = json.loads((tmp_path / "tune" / "results.json").read_text())
    assert set(cases["case"]) < set(Store(store).labelled)
    assert results["metrics"]["dice_foreground"] == pytest.approx(cases["dice_foreground"].mean())
    assert {"dice_foreground_native", "dice_class_1", "dice_class_2", "dice_paper"} <= results["metrics"].keys()
    assert results["n_labels"] == 12 - 3 - 2  # test and validation cases
    assert results["git"] is None or len(results["git"].removesuffix("-dirty")) == 40

    examples = load_examples(tmp_path / "tune" / "examples.npz")
    dice = cases.set_index("case")["dice_foreground"]
    assert [example.dice for example in examples.values()] == [dice.max(), dice.median(), dice.min()]
    assert all(dice[example.case] == example.dice for example in examples.values())


STILL = ["--model.optimization.optimizer=torch.optim.SGD", "--model.optimization.optimizer.lr=0"]
"""Nothing is learned: the last checkpoint has the initial weights."""


def test_initial_weights_differ_between_folds_and_seeds_and_are_those_of_all_arms_but_null(
    sslmed: Command, tmp_path: Path
) -> None:
    def initial(name: str, kind: str, *options: str) -> dict[str, torch.Tensor]:
        assert sslmed("fit", kind, "--run_dir", str(tmp_path / name), *STILL, *options) == 0
        weights = _weights(tmp_path / name / "checkpoints" / "last.ckpt")
        return {key: value for key, value in weights.items() if key.endswith("conv.weight")}

    baseline = initial("baseline", "segmentation")
    for name, option in (("fold", "--data.fold=1"), ("seed", "--seed_everything=1"), ("null", "--initial_weights=1")):
        other = initial(name, "segmentation", option)
        assert baseline.keys() == other.keys()
        assert not any(torch.equal(baseline[key], other[key]) for key in baseline)
    pretraining = initial("pretraining", "rotation")
    pretrained = str(tmp_path / "pretraining" / "checkpoints" / "last.ckpt")
    arm = initial("arm", "segmentation", "--model.pretrained.checkpoint", pretrained)
    decoder = [key for key in baseline if key.startswith("decoder.")]
    assert decoder
    assert all(torch.equal(arm[key], baseline[key]) for key in decoder)
    assert all(torch.equal(pretraining[key], baseline[key]) for key in pretraining if key.startswith("encoder."))


@pytest.mark.parametrize("selected", ["last", "best"])
def test_the_selected_checkpoint_is_scored(sslmed: Command, tmp_path: Path, selected: str) -> None:
    run = tmp_path / "run"
    options = ["--run_dir", str(run)] + ([] if selected == "last" else ["--select", selected])
    other = run / "checkpoints" / ("best.ckpt" if selected == "last" else "last.ckpt")
    assert sslmed("fit", "segmentation", *options) == 0
    other.write_bytes(b"not looked at")
    assert sslmed("test", "segmentation", *options) == 0
    (run / "checkpoints" / f"{selected}.ckpt").write_bytes(b"looked at")
    assert sslmed("test", "segmentation", *options) == 2


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++, which is not here")
def test_a_compiled_network_learns_the_same(sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compilations = []
    monkeypatch.setattr(
        torch, "compile", lambda *args, to=torch.compile, **kw: compilations.append(args) or to(*args, **kw)
    )
    # Adam would make a whole step of what rounding leaves of gradients that are zero.
    options = [
        "--model.init_args.encoder.init_args.dropout=0",
        "--model.optimization.optimizer=torch.optim.SGD",
        "--model.optimization.optimizer.lr=0.001",
    ]
    for compiled in ("false", "true"):
        run = tmp_path / compiled
        assert sslmed("fit", "rotation", *options, "--compile", compiled, "--run_dir", str(run)) == 0
        assert len(compilations) == (compiled == "true")
    expected, found = (pd.read_csv(tmp_path / compiled / "metrics.csv") for compiled in ("false", "true"))
    # Weights differ more: where values are equal, as in air, max pooling may choose another voxel.
    pd.testing.assert_frame_equal(found.drop(columns="seconds"), expected.drop(columns="seconds"), rtol=1e-3)
    weights = (_weights(tmp_path / compiled / "checkpoints" / "last.ckpt").keys() for compiled in ("false", "true"))
    assert len(set(map(frozenset, weights))) == 1


@pytest.mark.parametrize("kind", ["segmentation", "segmentation on slices", "exemplar", "classification"])
def test_a_stopped_and_resumed_fit_equals_an_uninterrupted_one_bit_by_bit(
    sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aptos_dataset, kind: str
) -> None:
    from sslmed.training.callbacks import History

    optimizer = [
        "--model.optimization.optimizer=torch.optim.AdamW",
        "--model.optimization.optimizer.lr=0.01",
        "--model.optimization.optimizer.fused=true",
    ]
    if kind == "classification":
        data = aptos_dataset(grades=(0, 1, 2, 3, 4) * 5)
        optimizer += ["--data.store", str(prepare(data, tmp_path / "photographs.store", PrepareSettings(size=16)).root)]
        optimizer += [
            "--model.affine=sslmed.learning.augmentation.RandomAffine",
            "--model.intensity=sslmed.learning.augmentation.RandomIntensity",
        ]
    if kind == "segmentation on slices":
        kind = "segmentation"
        optimizer += ["--data.spatial_dims", "2"]
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert sslmed("fit", kind, *optimizer, "--run_dir", str(whole)) == 0
    record = History.on_train_epoch_end

    def stop_in_second_stretch(self: History, trainer, module) -> None:
        if trainer.global_step > 2:
            raise RuntimeError("killed")
        record(self, trainer, module)

    monkeypatch.setattr(History, "on_train_epoch_end", stop_in_second_stretch)
    with pytest.raises(RuntimeError, match="killed"):
        sslmed("fit", kind, *optimizer, "--run_dir", str(halves))
    assert not (halves / "results.json").exists()
    monkeypatch.undo()
    assert sslmed("fit", kind, *optimizer, "--run_dir", str(halves)) == 0

    weights = _weights(whole / "checkpoints" / "last.ckpt")
    resumed = _weights(halves / "checkpoints" / "last.ckpt")
    assert all(torch.equal(value, resumed[key]) for key, value in weights.items())
    metrics = [pd.read_csv(path / "metrics.csv").drop(columns="seconds") for path in (whole, halves)]
    pd.testing.assert_frame_equal(*metrics)
    if kind != "exemplar":
        assert (whole / "cases.csv").read_bytes() == (halves / "cases.csv").read_bytes()


def test_test_validate_and_predict_leave_the_record_alone(sslmed: Command, tmp_path: Path, store: Path, capsys) -> None:
    run = tmp_path / "run"
    assert sslmed("fit", "segmentation", "--run_dir", str(run)) == 0
    shown = capsys.readouterr().out
    record = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    score = json.loads((run / "results.json").read_text())["metrics"]["dice_foreground"]
    assert re.search(rf"dice_foreground +│ +{score:.4f}", shown)
    for subcommand in ("test", "validate", "predict"):
        assert _exit_status([subcommand, "-c", str(run / "config.yaml")]) == 0
        assert all(path.read_bytes() == content for path, content in record.items())
    assert f"{score:.4f}" in capsys.readouterr().out

    written = sorted((run / "predictions").iterdir())
    assert len(written) == 3 + 4  # test and unlabelled cases
    for path in written:
        prediction, geometry = nib.load(path), Store(store).geometry(path.name.removesuffix(".nii.gz"))
        np.testing.assert_array_equal(prediction.affine, geometry.affine)
        assert set(np.unique(prediction.dataobj)) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.num_angels", "3"], "--model.num_angels: Segmentation has no such option"),
        (
            ["--model.encoder.widts", "[4]"],
            "--model.encoder.widts: UNetEncoder has no such option; did you mean widths?",
        ),
        (["--data.fold", "two"], "--data.fold: expected a whole number, got two"),
        (["--trainer.devicez", "2"], "--trainer.devicez: no such option; did you mean --trainer.devices?"),
        (["--select", "lst"], "--select: expected last or best, got lst; did you mean last?"),
        (["--model", "Segmentaton"], "--model: no class Segmentaton is known; did you mean Segmentation?"),
        (["-c", str(CONFIGS / "bas.yaml")], f"did you mean {CONFIGS / 'base.yaml'}?"),
        (["--data.store", "nowhere"], "not a prepared dataset"),
        (["--data.fold", "5"], "fold 5 of 5"),
        (["--data.label_fraction", "0"], "label fraction"),
        (["--model.pretrained.checkpoint", "absent.ckpt"], "no such checkpoint"),
        (["--data.updates", "1"], "too few"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(sslmed: Command, tmp_path: Path, capsys, options, words) -> None:
    assert sslmed("fit", "segmentation", "--run_dir", str(tmp_path / "run"), *options) == 2
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_finished_run_and_one_with_other_settings_are_not_overwritten(
    sslmed: Command, tmp_path: Path, capsys
) -> None:
    run = tmp_path / "run"
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 0
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 2
    assert "this run is done" in capsys.readouterr().err
    (run / "results.json").unlink()
    assert sslmed("fit", "rotation", "--run_dir", str(run), "--data.updates", "6") == 2
    assert "data.init_args.updates was 4, now 6" in capsys.readouterr().err


def test_transductive_pretraining_says_so_in_its_results(sslmed: Command, tmp_path: Path) -> None:
    for flag in ("true", "false"):
        assert sslmed("fit", "rotation", "--data.transductive", flag, "--run_dir", str(tmp_path / flag)) == 0
        assert json.loads((tmp_path / flag / "results.json").read_text())["transductive"] == (flag == "true")


def test_volumes_of_different_sizes_are_trained_on_in_crops(decathlon_dataset, tmp_path: Path, sslmed, capsys) -> None:
    data = decathlon_dataset(labelled=7, unlabelled=0, shape=(20, 16, 6))
    image = data / "imagesTr" / "case_00.nii.gz"
    for path in (image, data / "labelsTr" / image.name):
        volume = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(volume.dataobj)[:16], volume.affine), path)
    spacing = PrepareSettings(geometry="spacing", spacing=(0.8, 0.8, 1.0))
    store = prepare(data, tmp_path / "spaced", spacing, jobs=1).root
    options = ["--data.store", str(store), "--run_dir", str(tmp_path / "run")]
    assert sslmed("fit", "segmentation", *options) == 2
    assert "train on crops, e.g. --data.crop_size" in capsys.readouterr().err
    assert sslmed("fit", "segmentation", *options, "--data.crop_size", "[8,8,8]") == 0
    assert _exit_status(["predict", "-c", str(tmp_path / "run" / "config.yaml")]) == 0
    for path in (tmp_path / "run" / "predictions").iterdir():
        assert nib.load(path).shape == nib.load(data / "imagesTr" / path.name).shape


def test_a_job_of_a_cluster_is_no_rank_of_several(sslmed: Command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")  # as in `sbatch --ntasks 2`, which Lightning would refuse
    assert sslmed("fit", "rotation", "--run_dir", str(tmp_path / "run")) == 0
