"""What is shown of runs that are under way."""

import os
from pathlib import Path

import pytest

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.runs import Run
from sslmed.experiments.watching import Countdown, Running, describe, log_sizes, running, seconds_left


def _run(name: str, labels: LabelAmount | None = None) -> Run:
    job = name.rpartition("/")[0]
    return Run(job, 0, None, labels, name, job, needs=None, arguments=(), key="")


def _say(work: Path, run: Run, text: str) -> None:
    (work / run.name).mkdir(parents=True, exist_ok=True)
    with (work / run.name / "run.log").open("a") as log:
        log.write(text)


def test_of_each_job_the_run_that_writes_is_told_with_its_losses(tmp_path: Path) -> None:
    killed, earlier, current, fresh, waiting = map(_run, ["a/1", "b/1", "b/2", "c/1", "d/1"])
    runs = [killed, earlier, current, fresh, waiting]
    line = "INFO update 30 of 120  train/loss 0.5000  val/chance_loss 1.4000  val/loss 0.2500\n"
    _say(tmp_path, killed, line)
    sizes = log_sizes(tmp_path, runs)
    _say(tmp_path, earlier, "Error: failed\n")
    os.utime(tmp_path / earlier.name / "run.log", (1, 1))
    _say(tmp_path, current, "INFO update 15 of 120  train/loss 0.9000\n" + line + "a warning\n")
    _say(tmp_path, fresh, "importing\n")
    found = running(tmp_path, runs, sizes)
    assert [(each.run, each.fraction) for each in found] == [(current, 0.25), (fresh, 0.0)]
    assert describe(600.0, found) == (
        "about 10 min left; b/2 update 30 of 120 (train/loss 0.5000, val/loss 0.2500); c/1 starts"
    )
    assert describe(None, []) == "waiting for the first job to start"
    assert describe(0.0, found[1:]) == "c/1 starts"


def test_time_left_counts_long_and_short_runs_as_what_they_are() -> None:
    quarter = LabelAmount(fraction=0.25)
    pretraining = [_run(f"a/{i}") for i in range(2)]
    finetuning = [_run(f"b/{i}", quarter) for i in range(4)]
    seconds = {None: [100.0], quarter: [10.0]}
    # Work of 100 + 10 + 50 was done in 320 s; 50 + 3 * 10 are left.
    left = seconds_left(
        320.0,
        seconds,
        done=[pretraining[0], finetuning[0]],
        under_way=[Running(pretraining[1], 0.5, "")],
        waiting=[pretraining[1], *finetuning[1:]],
    )
    assert left == pytest.approx(320 * (50 + 30) / (110 + 50))
    assert seconds_left(5.0, {}, done=[], under_way=[], waiting=pretraining) is None
    begun = [Running(pretraining[0], 0.5, "")]
    assert seconds_left(5.0, {}, done=[], under_way=begun, waiting=pretraining) == pytest.approx(15)


def test_time_left_does_not_grow_while_a_run_is_silent() -> None:
    runs = [_run(f"a/{i}") for i in range(4)]
    countdown, begun = Countdown(), [Running(runs[0], 0.5, "")]
    assert countdown.left(5.0, {}, done=[], under_way=[Running(runs[0], 0.0, "")], waiting=runs) is None
    told = [countdown.left(now, {}, done=[], under_way=begun, waiting=runs) for now in (60.0, 90.0, 110.0, 900.0)]
    assert told == [pytest.approx(each) for each in (420, 390, 370, 0)]  # half a run in 60 s: 3.5 runs are left
    assert countdown.left(120.0, {None: [120.0]}, done=runs[:1], under_way=[], waiting=runs[1:]) == pytest.approx(360)
