import pytest

from sslmed.experiments.dry_run import training_seconds
from sslmed.experiments.plan import Grid, Places, plan_runs
from sslmed.experiments.settings import Estimate, preset_folder, read_experiment, read_preset

ESTIMATE = Estimate(pretrain_seconds=1000, finetune_seconds=100, memory_gib=1, disk_mib=1)


@pytest.mark.parametrize(("preset", "lengths"), [("sound", 1 + 1 + 1), ("paper", 0.05 + 0.25 + 1)])
def test_runs_on_few_labels_are_shorter_where_epochs_are_counted(preset, lengths, tmp_path):
    folder = preset_folder("fig3", preset)
    arms, fractions = ("baseline", "rotation"), (0.05, 0.25, 1.0)
    grid = Grid(read_experiment("fig3"), read_preset(folder), folder, arms, fractions, folds=(0, 1), seeds=(0, 1, 2))
    runs = plan_runs(grid, Places(tmp_path, tmp_path / "store-1"), dataset="toy", wandb="disabled")
    # A pretraining run per fold, and for each arm, fold and seed a fine-tuning run per fraction.
    assert training_seconds(ESTIMATE, runs) == pytest.approx(2 * 1000 + 2 * 2 * 3 * lengths * 100)
    assert training_seconds(ESTIMATE, []) == 0
