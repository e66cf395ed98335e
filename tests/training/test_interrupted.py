"""A run that is told to end says so by its exit status and a line, and nothing takes it for a finished one."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command

from sslmed.core.interrupts import Interrupted, interruptible
from sslmed.downstream import Segmentation
from sslmed.training.callbacks import History

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
LINE = "the same command resumes where this one stopped"


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Return a function that makes runs send themselves a signal after an update."""
    record = History.on_train_epoch_end

    def arm(number: signal.Signals, update: int) -> None:
        def stop(self: History, trainer, module) -> None:
            if trainer.global_step > update:
                os.kill(os.getpid(), number)
            record(self, trainer, module)

        monkeypatch.setattr(History, "on_train_epoch_end", stop)

    return arm


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGHUP))],
    ids=lambda number: number.name,
)
def test_a_signal_ends_fit_with_its_status_and_a_line_and_the_same_command_resumes(
    sslmed: Command, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, stop_after, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    handlers = [signal.getsignal(each) for each in STATUS]
    stop_after(number, update=2)
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == STATUS[number]
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert capsys.readouterr().err.splitlines()[-1] == f"interrupted by {name}: {LINE}"
    assert f"interrupted by {name}" in (run / "run.log").read_text().splitlines()[-1]
    assert not (run / "results.json").exists()
    assert [signal.getsignal(each) for each in STATUS] == handlers
    monkeypatch.undo()

    last = str(run / "checkpoints" / "last.ckpt")
    tune = ["--run_dir", str(tmp_path / "tune"), "--model.pretrained.checkpoint"]
    assert sslmed("fit", "segmentation", *tune, last) == 2
    refused = capsys.readouterr().err
    assert f"{last}: this run is not finished" in refused
    assert f"sslmed fit -c {run / 'config.yaml'}" in refused
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 0
    assert sslmed("fit", "segmentation", *tune, last) == 0


@pytest.mark.slow
def test_an_unfinished_run_is_neither_tested_nor_applied(sslmed: Command, tmp_path: Path, capsys, stop_after) -> None:
    run = ["--run_dir", str(tmp_path / "run")]
    stop_after(signal.SIGTERM, update=2)
    assert sslmed("fit", "segmentation", *run) == 143
    for subcommand in ("test", "predict"):
        assert sslmed(subcommand, "segmentation", *run) == 2
        assert "this run is not finished" in capsys.readouterr().err
    assert sslmed("validate", "segmentation", *run) == 0


def test_an_ignored_signal_stays_ignored_as_under_nohup() -> None:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Interrupted, match="SIGTERM"), interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_a_forked_child_ends_without_a_traceback() -> None:
    with interruptible():
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143


def test_a_run_that_is_stopped_while_it_is_scored_resumes_without_further_updates(
    sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr(Segmentation, "test_step", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert sslmed("fit", "segmentation", "--run_dir", str(run)) == 143
    assert not (run / "results.json").exists()
    monkeypatch.undo()
    monkeypatch.setattr(Segmentation, "training_step", lambda *_: pytest.fail("an update was made"))
    assert sslmed("fit", "segmentation", "--run_dir", str(run)) == 0
    assert [row["update"] for row in json.loads((run / "results.json").read_text())["validation"]] == [2, 4]
