"""The whole experiment on a tiny phantom: to the end, killed and restarted, refused, failed."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from commands import TINY, reproduce, results_of, start, work_of

pytestmark = pytest.mark.slow

ARMS = ["baseline", "rotation"]
TABLES = ["results.csv", "cases.csv", "summary.csv", "tests.csv", "null_bands.csv", "efficiency.csv"]


OPTIONS = ["--fractions", "0.4", "1", "--arms"]


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return start(folder, *OPTIONS, *ARMS)


def _reproduce(folder: Path, *options: object, arms: list[str] = ARMS) -> int:
    return reproduce(folder, "fig3", "--preset", TINY, *OPTIONS, *arms, *options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert _start(folder).wait(timeout=240) == 0, (folder / "output").read_text()
    return folder


def test_it_ends_with_tables_and_figure(finished: Path) -> None:
    drawn = {"fig3.png", "fig3.svg", "fig3.pdf", "fig3-caption.txt", "report.html"}
    assert {path.name for path in results_of(finished).iterdir()} == {*TABLES, *drawn, ".lock"}
    results = pd.read_csv(results_of(finished) / "results.csv")
    foreground = results[results["metric"] == "dice_foreground"]
    assert len(foreground) == len(ARMS) * 2
    assert sorted(foreground["n_labels"].unique()) == [2, 6]
    summary = pd.read_csv(results_of(finished) / "summary.csv")
    assert set(summary["arm"]) == set(ARMS)
    assert (summary["ci_low"] <= summary["mean"]).all()
    assert "PHANTOM" in (results_of(finished) / "fig3.svg").read_text().upper()
    report = (results_of(finished) / "report.html").read_text()
    assert "<strong>PHANTOM</strong>" in report
    assert "have no slices" not in report
    assert str(results_of(finished) / "report.html") in (finished / "output").read_text()


def test_again_it_takes_no_run_and_changes_no_byte(finished: Path) -> None:
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in work_of(finished).rglob("*.*") if path.is_file()
    }
    tables = {
        name: (results_of(finished) / name).read_bytes() for name in (*TABLES, "fig3.svg", "fig3.pdf", "report.html")
    }
    assert _reproduce(finished) == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert {name: (results_of(finished) / name).read_bytes() for name in tables} == tables


@pytest.mark.parametrize("killed", [("session",), pytest.param(("command", "session", "job"), marks=pytest.mark.long)])
def test_killed_it_goes_on_and_ends_with_the_same_results(
    finished: Path, tmp_path: Path, killed: tuple[str, ...]
) -> None:
    for what in killed:
        command = _start(tmp_path)
        _wait_for(work_of(tmp_path), WHEN[what])
        if what == "command":  # its workflow lives on
            command.kill()
        elif what == "session":
            os.killpg(command.pid, signal.SIGKILL)
        else:
            for process in psutil.Process(command.pid).children(recursive=True):
                if "sslmed.experiments.job" in process.cmdline():
                    process.kill()
        assert command.wait(timeout=240) in (0, 1, -signal.SIGKILL)
    assert _start(tmp_path).wait(timeout=240) == 0, (tmp_path / "output").read_text()
    for name in TABLES:
        assert (results_of(tmp_path) / name).read_bytes() == (results_of(finished) / name).read_bytes()


WHEN = {
    "command": "rotation/fold0/pretrain/checkpoints/last.ckpt",
    "session": "baseline/fold0/seed0/40/results.json",
    "job": "*/fold0/seed0/100/metrics.csv",
}
"""What is killed -> the file that is there by then."""


def _wait_for(work: Path, pattern: str) -> None:
    deadline = time.monotonic() + 120
    while not list(work.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.05)


def test_a_failed_run_is_named_the_others_go_on_and_the_cell_is_marked(finished: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    folder = tmp_path / "copy"
    broken = work_of(folder) / "rotation" / "fold0" / "seed0" / "40"
    shutil.rmtree(broken)
    broken.mkdir()
    (broken / "checkpoints").write_text("a file where a folder must be")
    # Paths are part of no key: the copied runs count as done.
    assert _reproduce(folder) == 1
    assert "rotation/fold0/seed0/40/run.log" in capsys.readouterr().err
    results = pd.read_csv(results_of(folder) / "results.csv")
    assert len(results[results["metric"] == "dice_foreground"]) == len(ARMS) * 2 - 1
    assert "missing" in (results_of(folder) / "fig3.svg").read_text()


def test_changed_settings_set_the_old_runs_aside(finished: Path, tmp_path: Path) -> None:
    from sslmed.experiments.finished import set_stale_runs_aside
    from sslmed.experiments.runs import read_plan

    shutil.copytree(work_of(finished), tmp_path / "work")
    runs = read_plan(tmp_path / "work" / "plan.json")
    set_stale_runs_aside(tmp_path / "work", runs)
    assert not list((tmp_path / "work").rglob("*.old*"))
    changed = [type(run)(**{**vars(run), "key": "other"}) if run.arm == "rotation" else run for run in runs]
    set_stale_runs_aside(tmp_path / "work", changed)
    aside = sorted(path.name for path in (tmp_path / "work").rglob("*.old1"))
    assert aside == ["100.old1", "40.old1", "pretrain.old1"]
    assert (tmp_path / "work" / "rotation" / "fold0" / "pretrain.old1" / "results.json").is_file()


def test_changed_settings_are_checked_before_finished_runs_are_set_aside(
    finished: Path, tmp_path: Path, capsys
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    (work_of(tmp_path / "copy") / "origin.json").unlink()  # as if it were the same preset, edited
    preset = tmp_path / "tiny"
    shutil.copytree(TINY, preset)
    options = ["--preset", str(preset)]
    (preset / "finetune.yaml").write_text("data: {init_args: {batch_sise: 2, updates: 6}}")
    assert _reproduce(tmp_path / "copy", *options) == 2
    assert "batch_sise" in capsys.readouterr().err
    assert not list(work_of(tmp_path / "copy").rglob("*.old*"))
    # Another encoder: the old checkpoints do not fit it, and that is no error, as they will be set aside.
    shutil.copy(TINY / "finetune.yaml", preset)
    (preset / "encoder.yaml").write_text("model: {init_args: {encoder: {init_args: {widths: [2, 4]}}}}")
    assert _reproduce(tmp_path / "copy", *options, "--dry-run") == 0
    assert "of which 0 are done" in capsys.readouterr().out


def test_a_dry_run_lists_everything_and_writes_nothing(finished: Path, tmp_path: Path, capsys) -> None:
    assert _reproduce(tmp_path, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "runs: 5, of which 0 are done and 5 are to do" in output
    assert re.search(r"baseline +│ +│ +0/1 │ +0/1 │\n│ rotation +│ +0/1 │ +0/1 │ +0/1 │", output)
    assert not list(tmp_path.iterdir())
    assert _reproduce(finished, "--dry-run") == 0
    assert "of which 5 are done and 0 are to do" in capsys.readouterr().out


def test_unusable_data_is_refused_before_anything_runs(decathlon_dataset, tmp_path: Path, capsys) -> None:
    unlabelled = decathlon_dataset("Task01_None", labelled=0, unlabelled=4)
    few = decathlon_dataset("Task02_Few", labelled=2, unlabelled=0)
    for data, words in [
        (unlabelled, "no labelled case"),
        (few, "2 labelled cases cannot make 3 folds"),
        ("nowhere", "nowhere"),
    ]:
        for options in ([], ["--dry-run"]):
            assert _reproduce(tmp_path, "--data", str(data), *options) == 2
            assert words in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_decoder_that_a_task_does_not_have_is_refused_before_anything_runs(
    decathlon_dataset, tmp_path: Path, capsys
) -> None:
    data = ["--data", str(decathlon_dataset(labelled=12))]
    for arm, options in (("rotation-decoder", ["--dry-run"]), ("simclr-decoder-2d", [])):
        assert _reproduce(tmp_path, *data, *options, arms=["joint-decoder", arm]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        task = arm.partition("-")[0]
        has_one = "tasks of this figure that have one: mae, genesis, joint"
        assert error.endswith(f"{arm}: {task} has no decoder to transfer; {has_one}")
    assert not (tmp_path / "runs").exists()


def test_a_wrong_checkpoint_is_refused_before_anything_runs(finished: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    work = work_of(tmp_path / "copy")
    (work / "rotation" / "fold0" / "seed0" / "40" / "results.json").unlink()
    handed_over = work / "rotation" / "fold0" / "pretrain" / "checkpoints" / "last.ckpt"
    handed_over.write_bytes(b"broken")
    for options in (["--dry-run"], []):
        assert _reproduce(tmp_path / "copy", *options) == 2
        assert f"{handed_over}: not a checkpoint" in capsys.readouterr().err


def test_results_hold_what_the_figure_needs(finished: Path) -> None:
    results = json.loads((work_of(finished) / "rotation" / "fold0" / "seed0" / "40" / "results.json").read_text())
    assert {"metrics", "validation", "seconds", "peak_memory_bytes", "device", "versions"} <= results.keys()
    assert results["precision"] == "32-true"
    pretraining = json.loads((work_of(finished) / "rotation" / "fold0" / "pretrain" / "results.json").read_text())
    assert pretraining["chance_loss"] == pytest.approx(2.302585, abs=1e-5)


@pytest.mark.usefixtures("in_one_process")
def test_precision_auto_is_that_of_the_first_commands_processor(tmp_path: Path, monkeypatch, capsys) -> None:
    preset = tmp_path / "tiny"
    shutil.copytree(TINY, preset)
    (preset / "preset.yaml").write_text((preset / "preset.yaml").read_text() + "precision: auto\n")
    monkeypatch.setattr("sslmed.experiments.origin.computes_bf16", lambda: True)
    assert _reproduce(tmp_path, "--preset", str(preset), arms=["baseline"]) == 0
    results = work_of(tmp_path) / "baseline" / "fold0" / "seed0" / "100" / "results.json"
    assert json.loads(results.read_text())["precision"] == "bf16-mixed"
    assert "bf16-mixed" in (results_of(tmp_path) / "report.html").read_text()
    monkeypatch.setattr("sslmed.experiments.origin.computes_bf16", lambda: False)
    more = ["--preset", str(preset), "--folds", "1"]
    assert _reproduce(tmp_path, *more, arms=["baseline"]) == 0
    assert "is trained in bf16-mixed, for which this processor has no instructions" in (said := capsys.readouterr().err)
    assert "set aside" not in said
    assert json.loads((results.parents[3] / "fold1/seed0/100/results.json").read_text())["precision"] == "bf16-mixed"
    text = (preset / "preset.yaml").read_text()
    (preset / "preset.yaml").write_text(text.replace("precision: auto", "precision: 32-true"))
    assert _reproduce(tmp_path, *more, "--dry-run", arms=["baseline"]) == 0
    shown = capsys.readouterr()
    assert "settings have changed; will set 2 old runs aside" in shown.out
    assert "bf16" not in shown.err
