"""Probes while pretraining: what they score, what they must not see, and that training is the same with and without."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import Command, fit, kill_after
from generated_tables import write_table

from sslmed.data.pretraining import PretrainingData
from sslmed.data.samples import StoreDataset
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.training.probes import Probes


def _state(run: Path) -> dict:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {key: checkpoint[key] for key in ("state_dict", "optimizer_states", "lr_schedulers")}


def _equal(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return torch.equal(one, other) if torch.is_tensor(one) else one == other


def test_training_is_the_same_to_the_last_bit_and_no_test_case_is_read(
    sslmed: Command, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sslmed("fit", "rotation", "--run_dir", str(tmp_path / "without")) == 0

    read = set()
    get = StoreDataset.__getitem__
    monkeypatch.setattr(
        StoreDataset, "__getitem__", lambda self, draw: read.add(self.cases[draw.case]) or get(self, draw)
    )
    for name in ("on_train_start", "on_validation_epoch_end"):
        hook = getattr(Probes, name)

        def checked(self, trainer, task, hook=hook) -> None:
            modes = [each.training for each in task.modules()]
            random, buffers = torch.get_rng_state(), [each.clone() for each in task.buffers()]
            hook(self, trainer, task)
            assert torch.equal(torch.get_rng_state(), random)
            assert all(map(torch.equal, task.buffers(), buffers))
            assert [each.training for each in task.modules()] == modes

        monkeypatch.setattr(Probes, name, checked)
    assert sslmed("fit", "rotation", "--probes", "true", "--run_dir", str(tmp_path / "with")) == 0

    assert _equal(_state(tmp_path / "with"), _state(tmp_path / "without"))
    rows, plain = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("with", "without"))
    shared = [name for name in plain.columns if name != "seconds"]
    pd.testing.assert_frame_equal(rows[shared], plain[shared])
    assert set(rows.columns) - set(plain.columns) == {"probe/dice", "probe/dice_untrained"}
    assert rows["probe/dice"].between(0, 1).all()
    assert rows["probe/dice_untrained"].nunique() == 1
    record = json.loads((tmp_path / "with" / "results.json").read_text())
    assert [row["probe/dice"] for row in record["validation"]] == pytest.approx(rows["probe/dice"].tolist())
    data = PretrainingData(store, updates=4, validations=2)
    assert set(data.split.train) | set(data.split.validation) <= read
    assert read.isdisjoint(data.split.test)


@pytest.mark.slow
def test_an_interrupted_run_keeps_the_scores_before_training(
    sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("fit", "rotation", "--probes", "true", "--run_dir", str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        kill_after(2, patch)
        with pytest.raises(RuntimeError, match="killed"):
            sslmed(*command)
    assert sslmed(*command) == 0
    assert sslmed(*command[:-1], str(tmp_path / "whole")) == 0
    rows = [pd.read_csv(tmp_path / name / "metrics.csv").drop(columns="seconds") for name in ("run", "whole")]
    pd.testing.assert_frame_equal(*rows)


@pytest.mark.parametrize(
    ("label", "dims", "more", "scores"),
    [
        ("class", 2, (), {"probe/linear", "probe/knn"}),
        ("value", 3, (), {"probe/r2"}),
        ("mask", 3, ("--data.spatial_dims", "2", "--data.crop_size", "[12,12]"), {"probe/dice"}),
    ],
)
def test_every_kind_of_label_has_its_scores_and_large_balls_are_told_from_small_ones(
    label: str, dims: int, more: tuple[str, ...], scores: set[str], tmp_path: Path
) -> None:
    table = write_table(tmp_path / "data", dims, [label], cases=60, unlabelled=2)
    store = prepare(table, tmp_path / "store", PrepareSettings(size=16), jobs=1).root
    run = fit("mae", store, tmp_path / "run", "--probes", "true", *more)
    last = pd.read_csv(run / "metrics.csv").iloc[-1]
    found = {name for name in last.index if name.startswith("probe/") and not name.endswith("_untrained")}
    assert found == scores
    assert all(last[name] > (0.3 if label == "mask" else 0.5) for name in scores)
    assert last["features/rank"] > 1


def test_a_run_that_collapses_or_stays_at_chance_says_so(sslmed: Command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sslmed.evaluation.features.ENOUGH_CASES", 2)
    run = tmp_path / "run"
    idle = ("--model.optimization.optimizer", "torch.optim.SGD", "--model.optimization.optimizer.init_args.lr", "0")
    assert sslmed("fit", "rotation", *idle, "--run_dir", str(run)) == 0
    warned = json.loads((run / "results.json").read_text())["warnings"]
    assert [each.partition(":")[0] for each in warned] == [
        "the task was not learned",
        "the features have collapsed, so that they hardly tell cases apart",  # of two cases, as the rank is 1
    ]
    log = (run / "run.log").read_text()
    assert all(each in log for each in warned)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("segmentation", [], "--probes true is for pretraining"),
        ("rotation", ["--data", "PoolData"], "--probes true needs labelled cases, but PoolData has none"),
    ],
)
def test_probes_without_labels_or_pretraining_are_refused(sslmed, tmp_path, capsys, kind, options, words) -> None:
    assert sslmed("fit", kind, *options, "--probes", "true", "--run_dir", str(tmp_path / "run")) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run" / "metrics.csv").exists()
