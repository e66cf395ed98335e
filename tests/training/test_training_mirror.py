"""Runs mirrored in Weights & Biases, offline and against a server on loopback."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from commands import exit_status, kill_after, run_arguments
from fake_wandb import KEY, FakeWandb, fake_wandb

from sslmed.preparation.store import Store
from sslmed.training.callbacks import History

LABELS = {"figure": "fig3", "dataset": "phantom", "preset": "tiny", "arm": "rotation"}
Fit = Callable[..., int]


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWandb]:
    with fake_wandb(tmp_path / "home", monkeypatch) as server:
        yield server


@pytest.fixture
def fit(store: Path, tmp_path: Path) -> Fit:
    def run(kind: str, run_dir: Path, *options: str) -> int:
        labels = [f"--labels.{key}={value}" for key, value in LABELS.items()]
        arguments = [*run_arguments(kind, store, tmp_path), *labels, "--data.updates=6", "--data.validations=3"]
        return exit_status("fit", *arguments, f"--run_dir={run_dir}", *options)

    return run


def _sync(*arguments: Path | str) -> None:
    command = [sys.executable, "-m", "wandb", "sync", *map(str, arguments)]
    # It writes logs into the folder where it is called.
    subprocess.run(command, cwd=arguments[-1], check=True, capture_output=True, timeout=60)


def _files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.slow
def test_wandb_sync_finds_everything_in_an_offline_run(fit: Fit, tmp_path: Path, server: FakeWandb) -> None:
    run_dir = tmp_path / "run"
    assert fit("segmentation", run_dir, "--wandb=offline") == 0
    assert not server.operations
    assert not (tmp_path / "home").exists()
    assert not _files_with(KEY, run_dir)
    (offline,) = (run_dir / "wandb").glob("offline-run-*")
    _sync(offline)

    (run,) = server.runs.values()
    metrics = pd.read_csv(run_dir / "metrics.csv").to_dict("records")
    rows = [row for row in run.history if "val/loss" in row]
    assert [{key: row[key] for key in metrics[0]} for row in rows] == metrics
    assert [row["_step"] for row in rows] == [2, 4, 6]
    (pictures,) = (row["segmentation"] for row in run.history if "segmentation" in row)
    assert len(pictures["filenames"]) == pictures["count"] == 2
    assert set(pictures["filenames"]) <= run.files

    results = json.loads((run_dir / "results.json").read_text())
    assert {key: run.summary[f"test/{key}"] for key in results["metrics"]} == pytest.approx(results["metrics"])
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    here = {"run_dir": "run", "store": Path(config["data"]["init_args"]["store"]).name}
    config["run_dir"] = here["run_dir"]
    config["data"]["init_args"]["store"] = here["store"]
    assert {key: run.config[key] for key in config} == config
    expected = {"arm": "rotation", "fold": 0, "seed": 0, "label_fraction": 1.0, "n_labels": results["n_labels"]}
    assert {key: run.config[key] for key in expected} == expected
    named = {key: run.upserted[key] for key in ("project", "groupName", "displayName", "jobType", "tags")}
    assert named == {
        "project": "sslmed",
        "groupName": "fig3-phantom-tiny",
        "displayName": "rotation 100 % fold0 seed0",
        "jobType": "finetune",
        "tags": ["fig3", "phantom", "tiny", "rotation"],
    }
    assert any("system.cpu" in line or "system.memory" in line for line in run.of("wandb-events.jsonl"))
    assert run.finished == [0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["offline", "online"])
def test_an_interrupted_and_resumed_run_is_one_run_with_every_step_once(
    fit: Fit, tmp_path: Path, server: FakeWandb, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    run_dir = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_after(2, patch)
        with pytest.raises(RuntimeError, match="killed"):
            fit("rotation", run_dir, f"--wandb={mode}", "--probes=true")
    assert fit("rotation", run_dir, f"--wandb={mode}", "--probes=true") == 0
    if mode == "offline":
        _sync(*(run_dir / "wandb").glob("offline-run-*"))
    (run,) = server.runs.values()
    assert [row["_step"] for row in run.history] == [0, 2, 4, 6, 7]
    assert ["puzzles" in row for row in run.history] == [True, False, False, False, False]
    captions = run.history[-1]["answers"]["captions"]
    assert all(
        re.fullmatch(r"validation case \d: [^,]+, answered [^,]+ with a probability of 0\.\d\d", each)
        for each in captions
    )
    assert [row["val/loss"] for row in run.history[1:-1]] == pd.read_csv(run_dir / "metrics.csv")["val/loss"].tolist()
    assert run.finished == ([0] if mode == "offline" else [1, 0])
    results = json.loads((run_dir / "results.json").read_text())
    assert "not learned" in run.summary["warnings"]
    assert run.summary["warnings"] == "; ".join(results["warnings"])
    probed = [row["probe/dice"] for row in run.history[1:-1]]
    assert probed == [row["probe/dice"] for row in results["validation"]]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["offline", "online"])
def test_neither_cases_nor_folders_nor_the_host_are_named(
    fit: Fit, store: Path, tmp_path: Path, server: FakeWandb, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "radiology-pc-7")
    assert fit("rotation", tmp_path / "pretraining", f"--wandb={mode}") == 0
    start = f"--model.pretrained.checkpoint={tmp_path / 'pretraining' / 'checkpoints' / 'last.ckpt'}"
    assert fit("segmentation", tmp_path / "finetuning", f"--wandb={mode}", start) == 0
    if mode == "offline":
        _sync(*tmp_path.glob("*/wandb/offline-run-*"))
    assert len(server.runs) == 2
    sent = [*server.runs, *(json.dumps([run.upserted, run.lines, sorted(run.files)]) for run in server.runs.values())]
    assert "last.ckpt" in str(sent)
    assert {run.upserted["host"] for run in server.runs.values()} == {"sslmed"}
    for secret in (*Store(store).cases, tmp_path, store.parent, sys.argv[0], "radiology-pc-7"):
        assert not [text for text in sent if str(secret) in text], secret
    pretraining, finetuning = sorted(server.runs.values(), key=lambda run: run.upserted["jobType"], reverse=True)
    pictures = [*pretraining.history[-1]["answers"]["captions"], *finetuning.history[-1]["segmentation"]["captions"]]
    assert {re.match(r"validation case (\d): ", caption)[1] for caption in pictures} == {"1", "2"}


@pytest.mark.slow
def test_a_run_begun_anew_is_another_run_and_a_moved_one_is_the_same(
    fit: Fit, tmp_path: Path, server: FakeWandb
) -> None:
    place = tmp_path / "run"
    for _ in range(2):
        assert fit("rotation", place, "--wandb=online") == 0
        place.rename(tmp_path / f"aside{len(server.runs)}")
    assert len(server.runs) == 2
    moved = tmp_path / "aside1"
    (moved / "results.json").unlink()
    assert fit("rotation", moved, "--wandb=online") == 0
    assert len(server.runs) == 2


@pytest.mark.slow
def test_the_mirror_changes_nothing_that_is_learned(fit: Fit, tmp_path: Path) -> None:
    weights = []
    for mode in ("disabled", "offline"):
        assert fit("exemplar", tmp_path / mode, f"--wandb={mode}") == 0
        weights.append(torch.load(tmp_path / mode / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_without_a_key_nothing_starts(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    assert fit("rotation", tmp_path / "run", "--wandb=online") == 2
    assert "--wandb offline" in capsys.readouterr().err
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.slow
def test_a_network_that_fails_midway_does_not_fail_the_run(
    fit: Fit, tmp_path: Path, server: FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslmed.training.wandb.session.FINISH_SECONDS", 1.0)
    record = History.on_train_epoch_end

    def lose_network(self: History, trainer, module) -> None:
        record(self, trainer, module)
        server.down = True

    monkeypatch.setattr(History, "on_train_epoch_end", lose_network)
    assert fit("rotation", tmp_path / "run", "--wandb=online") == 0
    assert (tmp_path / "run" / "results.json").is_file()
    server.down = False
    (left,) = (tmp_path / "run" / "wandb").glob("run-*")
    _sync("--include-online", left)
    (run,) = server.runs.values()
    assert [row["_step"] for row in run.history] == [0, 2, 4, 6, 7]


@pytest.mark.slow
def test_a_server_that_does_not_answer_makes_the_mirror_offline(
    fit: Fit, tmp_path: Path, server: FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslmed.training.wandb.session.INIT_SECONDS", 1.0)
    server.down = True
    assert fit("rotation", tmp_path / "run", "--wandb=online") == 0
    assert "wandb sync" in (tmp_path / "run" / "run.log").read_text()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


@pytest.mark.slow
def test_disabled_it_is_not_even_imported(store: Path) -> None:
    code = "import sys, sslmed.training.lightning_cli, sslmed.experiments.reproduce; print('wandb' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split()[-1] == "False"
