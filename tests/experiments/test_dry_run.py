import re
import shutil

import pytest
from commands import TINY, reproduce
from grids import grid_of, plan

from sslmed.core.label_amount import label_amounts
from sslmed.experiments.cost import training_seconds
from sslmed.experiments.places import Places
from sslmed.experiments.preset import Estimate, preset_folder, read_preset
from sslmed.preparation.prepare import prepare

ESTIMATE = Estimate(device="GPU", pretrain_seconds=1000, finetune_seconds=100, memory_gib=1, disk_mib=1)


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
