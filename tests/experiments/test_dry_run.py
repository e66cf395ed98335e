import pytest

from sslmed.core.label_amount import label_amounts
from sslmed.experiments.dry_run import training_seconds
from sslmed.experiments.grid import Grid
from sslmed.experiments.plan import Places, plan_runs
from sslmed.experiments.settings import Estimate, preset_folder, read_experiment, read_preset

ESTIMATE = Estimate(device="GPU", pretrain_seconds=1000, finetune_seconds=100, memory_gib=1, disk_mib=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "lengths"),
    [("sound", 1 + 1 + 1), ("paper", 0.05 + 0.25 + 1)],
)
def test_runs_on_few_labels_are_shorter_where_epochs_are_counted(preset, lengths, tmp_path):
    folder = preset_folder("fig3", preset)
    arms, labels = ("baseline", "rotation"), label_amounts((0.05, 0.25, 1.0), None)
    grid = Grid(read_experiment("fig3"), read_preset(folder), folder, arms, labels, folds=(0, 1), seeds=(0, 1, 2))
    runs = plan_runs(grid, Places(tmp_path, tmp_path / "store-1"), dataset="toy", wandb="disabled")
    # A pretraining run per fold, and for each arm, fold and seed a fine-tuning run per fraction.
    assert training_seconds(ESTIMATE, runs) == pytest.approx(2 * 1000 + 2 * 2 * 3 * lengths * 100)
    assert training_seconds(ESTIMATE, []) == 0


@pytest.mark.parametrize(("preset", "lengths"), [("sound", 1 + 1), ("paper", 0.1 + 1)])
def test_numbers_of_labels_are_fractions_of_the_training_cases(preset, lengths, tmp_path):
    folder = preset_folder("fig3", preset)
    grid = Grid(
        read_experiment("fig3"), read_preset(folder), folder, ("baseline",), label_amounts(None, [4, "all"]), (0,), (0,)
    )
    runs = plan_runs(grid, Places(tmp_path, tmp_path / "store-1"), dataset="toy", wandb="disabled")
    assert training_seconds(ESTIMATE, runs, n_train=40) == pytest.approx(lengths * 100)
