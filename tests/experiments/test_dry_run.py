import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import TINY, reproduce
from grids import grid_of, plan

from sslmed.core.label_amount import label_amounts
from sslmed.experiments.cost import estimate_of, total_seconds, training_seconds
from sslmed.experiments.own import find_encoder
from sslmed.experiments.places import Places
from sslmed.experiments.preset import Estimate, preset_folder, read_preset
from sslmed.preparation.prepare import prepare

ESTIMATE = Estimate(device="GPU", pretrain_seconds=1000, finetune_seconds=100, memory_gib=1, disk_mib=1)

FIXED_SIZE = """
import torch

from sslmed.encoders import UNetEncoder


class FixedSize(UNetEncoder):
    def __init__(self, spatial_dims: int = 3, in_channels: int = 1) -> None:
        super().__init__(spatial_dims, in_channels, widths=(4, 8))
        self.position = torch.nn.Parameter(torch.zeros(12, 12, 12))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return super().forward(images + self.position)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "lengths"), [("sound", 1 + 1 + 1), ("paper", 0.05 + 0.25 + 1)])
def test_runs_on_few_labels_are_shorter_where_epochs_are_counted(preset, lengths, tmp_path):
    folder, labels = preset_folder("fig3", preset), label_amounts((0.05, 0.25, 1.0), None)
    grid = grid_of("baseline", "rotation", preset=folder, labels=labels, folds=(0, 1), seeds=(0, 1, 2))
    runs = plan(grid, Places(tmp_path, tmp_path / "store-1"))
    # A pretraining run per fold, and for each arm, fold and seed a fine-tuning run per fraction.
    assert training_seconds(ESTIMATE, runs) == pytest.approx(2 * 1000 + 2 * 2 * 3 * lengths * 100)
    assert training_seconds(ESTIMATE, []) == 0


@pytest.mark.parametrize(("preset", "lengths"), [("sound", 1 + 1), ("paper", 0.1 + 1)])
def test_numbers_of_labels_are_fractions_of_the_training_cases(preset, lengths, tmp_path):
    grid = grid_of("baseline", preset=preset_folder("fig3", preset), labels=label_amounts(None, [4, "all"]))
    runs = plan(grid, Places(tmp_path, tmp_path / "store-1"))
    assert training_seconds(ESTIMATE, runs, n_train=40) == pytest.approx(lengths * 100)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])  # pretraining and fine-tuning in one job, and in several
def test_a_job_does_its_runs_one_by_one_after_its_pretraining(seeds, tmp_path):
    grid = grid_of("baseline", "rotation", labels=label_amounts((0.05, 0.25, 1.0), None), seeds=seeds)
    runs = plan(grid, Places(tmp_path, tmp_path / "store-1"))
    assert total_seconds(ESTIMATE, runs, None, at_once=32) == 1000 + 3 * 100
    assert total_seconds(ESTIMATE, runs, None, at_once=1) == training_seconds(ESTIMATE, runs)


def test_memory_is_counted_of_the_jobs_that_are_to_do(tmp_path, capsys):
    options = ["--preset", TINY, "--arms", "baseline", "--jobs", 8, "--dry-run"]
    assert reproduce(tmp_path, "fig3", *options) == 0  # five runs in one job
    assert "0.5 GiB of memory (0.5 for each)" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_the_estimate_is_of_the_encoder_that_the_command_names(tmp_path):
    options = ["--preset", TINY, "--arms", "baseline", "--labels", "all", "--encoder", "swin"]
    assert reproduce(tmp_path, "fig3", *options) == 0
    (checkpoints,) = tmp_path.rglob("checkpoints")
    taken = sum(file.stat().st_size for file in checkpoints.iterdir()) / 2**20
    grid = grid_of("baseline", encoder=find_encoder("swin"))
    said, usual = estimate_of(grid, 3), grid.preset.estimate
    assert said.disk_mib == pytest.approx(taken, rel=0.1)
    assert usual.memory_gib < said.memory_gib
    assert usual.pretrain_seconds * 5 < said.pretrain_seconds
    assert estimate_of(replace(grid, encoder=None), 3) == usual


def test_an_encoder_for_one_size_of_images_does_not_stop_a_dry_run(tmp_path: Path, capsys, monkeypatch):
    (tmp_path / "fixed_size.py").write_text(FIXED_SIZE)
    (tmp_path / "fixed.yaml").write_text("model: {init_args: {encoder: {class_path: fixed_size.FixedSize}}}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    options = ["--preset", TINY, "--arms", "baseline", "--encoder", tmp_path / "fixed.yaml", "--dry-run"]
    assert reproduce(tmp_path, "fig3", *options) == 0
    printed = capsys.readouterr()
    assert "fixed.yaml: cannot be tried, so the estimate is of the figure's encoder" in printed.err
    assert "0.5 GiB of memory (0.5 for each)" in printed.out


def test_disk_is_counted_of_what_is_not_prepared_yet(decathlon_dataset, tmp_path, capsys):
    data, preset = decathlon_dataset(labelled=6, unlabelled=0), shutil.copytree(TINY, tmp_path / "large")
    (preset / "preset.yaml").write_text((TINY / "preset.yaml").read_text().replace("size: 12", "size: 128"))
    settings = read_preset(preset).prepare

    def disk():
        assert reproduce(tmp_path, "fig3", "--data", data, "--preset", preset, "--arms", "baseline", "--dry-run") == 0
        return re.search(r"([\d.]+) GiB of disk", capsys.readouterr().out)[1]

    assert disk() == "0.04"  # 6 cases of 128³ voxels in float16 with labels
    prepare(data, tmp_path / "runs" / "stores" / f"Task00_Toy-{settings.key('Task00_Toy map')}", settings, jobs=1)
    assert disk() == "0.00"
