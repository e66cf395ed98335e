"""What would fail in every run is refused before the first job; what a failed run keeps from starting says so."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from commands import TINY, reproduce
from generated_tables import write_table
from grids import grid_of, plan

from sslmed.core.errors import UserError
from sslmed.core.label_amount import label_amounts
from sslmed.core.yaml_files import read_yaml
from sslmed.encoders import UNetEncoder
from sslmed.experiments import job
from sslmed.experiments.failures import failures
from sslmed.experiments.places import Places


@pytest.mark.slow
def test_volumes_of_different_sizes_without_crops(decathlon_dataset, tmp_path: Path, capsys) -> None:
    root = decathlon_dataset(labelled=6, unlabelled=0, shape=(20, 18, 14))
    for path in root.glob("*/case_03.nii.gz"):
        volume = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(volume.dataobj)[:, 4:], volume.affine), path)
    preset = shutil.copytree(TINY, tmp_path / "whole")
    text = (preset / "preset.yaml").read_text()
    spacing = "prepare: {geometry: spacing, spacing: [0.8, 0.8, 2.5]}"
    (preset / "preset.yaml").write_text(text.replace("prepare: {geometry: cube, size: 12}", spacing))
    command = [tmp_path, "segmentation", "--data", root, "--preset", preset, "--arms", "baseline"]
    for options in ([], ["--dry-run"], []):
        assert reproduce(*command, *options) == 2
        assert "volumes differ in size ((20, 14, 14) to (20, 18, 14) voxels)" in capsys.readouterr().err
    assert not [*(tmp_path / "runs").rglob("run.log")]
    (preset / "run.yaml").write_text("data: {init_args: {crop_size: [12, 12, 12]}}\n")
    assert reproduce(*command, "--dry-run") == 0


def test_runs_whose_pretraining_failed_are_not_started(tmp_path: Path, monkeypatch) -> None:
    grid = grid_of("rotation", labels=label_amounts((0.5, 1), None))
    runs = plan(grid, Places(tmp_path, tmp_path / "store"))
    started = []

    def fit(run) -> None:
        started.append(run.name)
        raise UserError("it went wrong")

    monkeypatch.setattr(job, "fit", fit)
    monkeypatch.chdir(tmp_path)
    assert not job.do_runs(runs)
    assert started == ["rotation/fold0/pretrain"]
    not_started = "not started, as rotation/fold0/pretrain failed"
    assert [each.reason for each in failures(tmp_path, runs, {})] == ["it went wrong", not_started, not_started]


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (
            "2026-01-01 10:00:00,000 INFO update 3 of 6  train/loss 0.5",
            "as if killed, e.g. for lack of memory; its last",
        ),
        ("2026-01-01 10:00:00,000 ERROR training loss is not finite", "2026-01-01 10:00:00,000 ERROR training loss"),
        ("ValueError: no", "ValueError: no"),
    ],
)
def test_what_a_failed_run_says_last_is_the_reason_unless_it_is_progress(
    tmp_path: Path, last: str, reason: str
) -> None:
    runs = plan(grid_of("baseline"), Places(tmp_path, tmp_path / "store"))
    (tmp_path / runs[0].name).mkdir(parents=True)
    (tmp_path / runs[0].name / "run.log").write_text(f"before\n{last}\n")
    (failure,) = failures(tmp_path, runs, {})
    assert reason in failure.reason


def test_synthetic_data_for_a_figure_that_has_none(tmp_path: Path, capsys) -> None:
    for options in (["--data", "phantom"], ["--data", tmp_path, "--source", "phantom"]):
        assert reproduce(tmp_path, "classification", *options, "--dry-run") == 2
        assert "give a table or a folder instead of `phantom`" in capsys.readouterr().err


def test_a_known_dataset_may_follow_other_data(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=0)
    command = [tmp_path, "segmentation", "--dry-run", "--arms", "baseline", "--data", data]
    assert reproduce(*command, "hippocampus") == 0
    absent = tmp_path / "downloads" / "Task04_Hippocampus"
    assert f"{data}, {absent} (not here yet: it will be downloaded)" in capsys.readouterr().out
    assert reproduce(*command, "aptos") == 2
    assert "aptos: its labels are classes, not" in capsys.readouterr().err


def with_pool(folder: Path, data: Path, pool: Path, *options: str) -> int:
    arms = ["--preset", TINY, "--arms", "rotation-external"]
    return reproduce(folder, "segmentation", "--data", data, *arms, "--pool", pool, *options)


def test_a_pool_that_names_no_modality_beside_cts_is_said_to_be_normalised_otherwise(
    decathlon_dataset, tmp_path: Path, capsys
) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=0)
    pool = shutil.copytree(decathlon_dataset("other", labelled=0, unlabelled=4) / "imagesTs", tmp_path / "scans")
    assert with_pool(tmp_path, data, pool, "--dry-run") == 0
    assert f"{pool}: its channels are channel, those of {data} CT: make sure" in (said := capsys.readouterr().err)
    assert "CT is clipped to a HU window and anything else to percentiles" in said


def test_a_pool_whose_channels_are_in_another_order(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=0, modalities=("T1", "T2"))
    pool = decathlon_dataset("other", labelled=0, unlabelled=4, modalities=("t2", "T1"))
    assert with_pool(tmp_path, data, pool, "--dry-run") == 2
    assert f"{pool}: its channels are t2, T1, those of {data} T1, T2: list them in one order" in capsys.readouterr().err


def test_decoders_that_are_to_be_transferred_and_are_not_there(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=0)
    source = write_table(tmp_path / "source", 3, ["class"], cases=6)
    command = [tmp_path, "segmentation", "--data", data, "--preset", TINY, "--dry-run", "--arms"]
    assert reproduce(*command, "supervised-decoder-2d", "--source", source) == 2
    said = capsys.readouterr().err
    assert f"supervised-decoder-2d: {source} has no label maps, so its pretraining has no decoder" in said
    assert said.strip().endswith("take supervised-2d")
    weights = {"checkpoint": str(tmp_path / "encoder.pth"), "load": "all"}
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"pretrained": weights}}}))
    widths = read_yaml(TINY / "encoder.yaml")["model"]["init_args"]["encoder"]["init_args"]["widths"]
    state = UNetEncoder(3, 1, widths=widths).state_dict()
    torch.save({f"encoder.{name}": each for name, each in state.items()}, weights["checkpoint"])
    assert reproduce(*command, tmp_path / "theirs.yaml") == 2
    assert f"{weights['checkpoint']}: holds no decoder" in capsys.readouterr().err


def test_a_pool_that_is_too_small_for_any_task(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=0)
    pool = decathlon_dataset("other", labelled=0, unlabelled=3) / "imagesTs"
    for options in (["--dry-run"], []):
        assert with_pool(tmp_path, data, pool, *options) == 2
        assert "a pool needs at least 4 different images, got 3" in capsys.readouterr().err
    assert not [*(tmp_path / "runs").rglob("run.log")]
