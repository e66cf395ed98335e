"""The real command on generated data: runs, resumption, hand-over, errors."""

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from commands import CONFIGS, Command, exit_status

from sslmed.downstream import Segmentation
from sslmed.downstream.examples import load_examples
from sslmed.downstream.inference import apply_whole
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store

TASKS = sorted(path.stem for path in (CONFIGS / "pretext").glob("*.yaml"))


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_pretrains_and_leaves_a_complete_run_directory(sslmed: Command, tmp_path: Path, task: str) -> None:
    assert sslmed("fit", task, "--run_dir", str(tmp_path / "run")) == 0
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    expected = {
        "config.yaml",
        "data.json",
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_seed_and_fold_choose_labels_batches_and_random_numbers_and_a_null_arm_has_those_of_the_baseline(
    sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, seen = Segmentation.training_loss, []

    def training_loss(self: Segmentation, batch: dict) -> torch.Tensor:
        seen.append((tuple(batch["case"]), tuple(torch.rand(2).tolist())))
        return compute(self, batch)

    monkeypatch.setattr(Segmentation, "training_loss", training_loss)
    labels, options = {}, {"": [], "fold": ["--data.fold=1"], "seed": ["--seed_everything=1"]}
    for name, changed in (options | {"null": ["--initial_weights=1"]}).items():
        few = ["--data.n_labels=3", "--run_dir", str(tmp_path / name)]
        assert sslmed("fit", "segmentation", *few, *changed) == 0
        labels[name] = [*json.loads((tmp_path / name / "data.json").read_text())["training"]]
    baseline, *others, null = (seen[start : start + 4] for start in range(0, 16, 4))
    assert null == baseline
    assert labels.pop("null") == labels[""]
    assert len({tuple(each) for each in labels.values()}) == 3
    assert len({tuple(cases for cases, _ in each) for each in (baseline, *others)}) == 3
    assert len({numbers for _, numbers in seen}) == 3 * 4


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_test_validate_and_predict_leave_the_record_alone(
    sslmed: Command, tmp_path: Path, store: Path, capsys, caplog
) -> None:
    run = tmp_path / "run"
    assert sslmed("fit", "segmentation", "--run_dir", str(run)) == 0
    shown = capsys.readouterr().out
    record = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    score = json.loads((run / "results.json").read_text())["metrics"]["dice_foreground"]
    assert re.search(rf"dice_foreground +│ +{score:.4f}", shown)
    for subcommand in ("test", "validate", "predict"):
        assert exit_status(subcommand, "-c", run / "config.yaml") == 0
        assert all(path.read_bytes() == content for path, content in record.items())
    assert f"{score:.4f}" in capsys.readouterr().out
    assert "differ" not in caplog.text
    assert exit_status("test", "-c", run / "config.yaml", "--model.surface_tolerance", 9) == 0
    assert "differ from the run's: model.init_args.surface_tolerance was 2.0, now 9.0" in caplog.text
    for subcommand in ("test", "validate", "predict"):
        pretrained = ["--model.pretrained.checkpoint", run / "checkpoints" / "best.ckpt"]
        assert exit_status(subcommand, "-c", run / "config.yaml", *pretrained) == 2
        assert "give --ckpt_path for others" in capsys.readouterr().err
    for subcommand in ("test", "validate", "predict"):
        assert exit_status(subcommand, "-c", run / "config.yaml", "--data.fold", 1) == 2
        assert "was trained or validated on" in capsys.readouterr().err
    other = tmp_path / "other"
    assert sslmed("fit", "segmentation", "--run_dir", str(other), "--data.fold", "1") == 0
    for subcommand in ("test", "validate", "predict"):
        options = ["--ckpt_path", other / "checkpoints" / "last.ckpt"]
        assert exit_status(subcommand, "-c", run / "config.yaml", *options) == 2
        assert f"{other}: was trained or validated on" in capsys.readouterr().err
    for option, value in {"--wandb": "offline", "--trainer.devices": 2, "--labels.arm": "other"}.items():
        assert exit_status("test", "-c", run / "config.yaml", option, value) == 2
        assert f"{option}: is for fit" in capsys.readouterr().err

    written = sorted((run / "predictions").iterdir())
    assert len(written) == 3 + 4  # test and unlabelled cases
    for path in written:
        prediction, geometry = nib.load(path), Store(store).geometry(path.name.removesuffix(".nii.gz"))
        np.testing.assert_array_equal(prediction.affine, geometry.affine)
        assert set(np.unique(prediction.dataobj)) <= {0, 1, 2}


@pytest.mark.slow
def test_a_final_model_has_no_cases_of_its_own_to_be_judged_by(
    decathlon_dataset, sslmed: Command, tmp_path: Path, capsys
) -> None:
    store = prepare(decathlon_dataset(labelled=7, unlabelled=0), tmp_path / "store", PrepareSettings(size=12), jobs=1)
    run = tmp_path / "run"
    options = ["--data.store", str(store.root), "--data.final", "true", "--run_dir", str(run)]
    assert sslmed("fit", "segmentation", *options) == 0
    assert exit_status("validate", "-c", run / "config.yaml") == 0
    assert "Validation cases, which it was trained on" in " ".join(capsys.readouterr().out.split())
    assert exit_status("predict", "-c", run / "config.yaml") == 2
    assert "its store, which has none; give others by `sslmed predict --model" in capsys.readouterr().err


def test_a_finished_run_and_one_with_other_settings_are_not_overwritten(
    sslmed: Command, tmp_path: Path, capsys
) -> None:
    run = tmp_path / "run"
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 0
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 2
    assert "this run is done; remove it" in capsys.readouterr().err
    assert sslmed("fit", "rotation", "--run_dir", str(run), "--data.updates", "6") == 2
    assert "this run is done, with other settings (data.init_args.updates was 4, now 6)" in capsys.readouterr().err
    (run / "results.json").unlink()
    assert sslmed("fit", "rotation", "--run_dir", str(run), "--data.updates", "6") == 2
    assert "data.init_args.updates was 4, now 6" in capsys.readouterr().err


@pytest.mark.slow
def test_transductive_pretraining_says_so_in_its_results(sslmed: Command, tmp_path: Path) -> None:
    for flag in ("true", "false"):
        assert sslmed("fit", "rotation", "--data.transductive", flag, "--run_dir", str(tmp_path / flag)) == 0
        assert json.loads((tmp_path / flag / "results.json").read_text())["transductive"] == (flag == "true")


@pytest.mark.slow
def test_volumes_of_different_sizes_are_trained_on_in_crops_and_scored_in_windows_of_their_size(
    decathlon_dataset, tmp_path: Path, sslmed, capsys, monkeypatch
) -> None:
    windows = set()

    def apply(*arguments, window, **options) -> torch.Tensor:
        windows.add(window and tuple(window))
        return apply_whole(*arguments, window=window, **options)

    monkeypatch.setattr("sslmed.downstream.base.apply_whole", apply)
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
    assert exit_status("predict", "-c", tmp_path / "run" / "config.yaml") == 0
    for path in (tmp_path / "run" / "predictions").iterdir():
        assert nib.load(path).shape == nib.load(data / "imagesTr" / path.name).shape
    assert windows == {(8, 8, 8)}


def test_a_job_of_a_cluster_is_no_rank_of_several(sslmed: Command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")  # as in `sbatch --ntasks 2`, which Lightning would refuse
    assert sslmed("fit", "rotation", "--run_dir", str(tmp_path / "run")) == 0
