"""What the runs of a workflow are doing at the moment, from what they have written: losses, time left."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sslmed.core.label_amount import LabelAmount
from sslmed.core.text import duration
from sslmed.experiments.runs import Run

UPDATE = re.compile(r"update (\d+) of (\d+)  (.*)")
LOSSES = re.compile(r"((?:train|val)/loss) (\S+)")
TAIL = 8192  # bytes of a log that are read
SILENT_SECONDS = 1800.0
"""A run whose log has not grown for this long is not shown: it has failed."""


@dataclass(frozen=True)
class Running:
    """A run that is under way.

    Attributes:
        run: Which one.
        fraction: How far it is, from 0 to 1.
        state: The same in words, with losses.
    """

    run: Run
    fraction: float
    state: str


def log_sizes(work: Path, runs: Sequence[Run]) -> dict[str, int]:
    """Bytes of each run's log, 0 where there is none."""
    logs = {run.name: work / run.name / "run.log" for run in runs}
    return {name: log.stat().st_size if log.is_file() else 0 for name, log in logs.items()}


def running(work: Path, waiting: Sequence[Run], earlier: Mapping[str, int]) -> list[Running]:
    """Find the runs that are under way: of each job, which does one run after another, the one that wrote last.

    It has written since `earlier`, the `log_sizes` when the workflow started: logs of killed runs do not grow.
    """
    sizes = log_sizes(work, waiting)
    last: dict[str, tuple[float, Run]] = {}
    for run in waiting:
        if sizes[run.name] > earlier[run.name]:
            written = (work / run.name / "run.log").stat().st_mtime
            if time.time() - written < SILENT_SECONDS and written >= last.get(run.job, (0.0,))[0]:
                last[run.job] = written, run
    return [_running(work, run) for _, run in last.values()]


def _running(work: Path, run: Run) -> Running:
    with (work / run.name / "run.log").open("rb") as log:
        log.seek(max(0, log.seek(0, 2) - TAIL))
        found = UPDATE.findall(log.read().decode(errors="replace"))
    if not found:
        return Running(run, 0.0, f"{run.name} starts")
    update, of_all, metrics = found[-1]
    losses = ", ".join(" ".join(loss) for loss in LOSSES.findall(metrics))
    state = f"{run.name} update {update} of {of_all}" + (f" ({losses})" if losses else "")
    return Running(run, int(update) / int(of_all), state)


def seconds_left(
    elapsed: float,
    seconds: Mapping[LabelAmount | None, Sequence[float]],
    *,
    done: Sequence[Run],
    under_way: Sequence[Running],
    waiting: Sequence[Run],
) -> float | None:
    """Estimate how long the rest takes, at the pace so far. Runs of one amount of labels take about as long as another.

    Args:
        elapsed: Seconds since the workflow started.
        seconds: What finished runs took, by amount of labels; `None` is pretraining.
        done: Runs that have been finished since.
        under_way: Runs that are under way.
        waiting: Runs that are not finished, those under way among them.

    Returns:
        Seconds, or `None` as long as nothing is known.
    """
    means = {labels: fmean(values) for labels, values in seconds.items() if values}
    usual = fmean(means.values()) if means else 1.0

    def weight(run: Run) -> float:
        return means.get(run.labels, usual)

    started = sum(each.fraction * weight(each.run) for each in under_way)
    work_done = started + sum(map(weight, done))
    return None if work_done == 0 else elapsed * (sum(map(weight, waiting)) - started) / work_done


class Countdown:
    """Counts `seconds_left` down while there is no news: at the pace so far, it would grow until a log grows."""

    def __init__(self) -> None:
        self._progress = (0, 0.0)
        self._at = 0.0

    def left(
        self,
        elapsed: float,
        seconds: Mapping[LabelAmount | None, Sequence[float]],
        *,
        done: Sequence[Run],
        under_way: Sequence[Running],
        waiting: Sequence[Run],
    ) -> float | None:
        """Estimate how long the rest takes; arguments as in `seconds_left`."""
        progress = len(done), sum(each.fraction for each in under_way)
        if progress != self._progress:
            self._progress, self._at = progress, elapsed
        left = seconds_left(self._at, seconds, done=done, under_way=under_way, waiting=waiting)
        return None if left is None else max(0.0, left - (elapsed - self._at))


def describe(left: float | None, under_way: Sequence[Running]) -> str:
    """Say what is under way: `about 12 min left; rotation/fold0/pretrain update 50 of 200 (val/loss 0.4312)`."""
    parts = [] if left is None or left < 1 else [f"about {duration(left)} left"]  # the last run is still scored
    return "; ".join([*parts, *(each.state for each in under_way)]) or "waiting for the first job to start"
