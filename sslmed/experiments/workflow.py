"""Run a plan with Snakemake, show its progress, and resume after any interruption.

Snakemake starts a job as soon as the jobs that it needs are done, and runs as many in parallel as there are cores or
GPUs. If a job fails, it continues with the others. Plugins do the same on SLURM and other clusters: they submit jobs,
poll them, retry lost ones, and request memory and time. We decide by `results.json` which runs are done and still
valid (`finished.py`). Snakemake would decide by modification times, and would delete the files of a failed job.
"""

import fcntl
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from sslmed.core.errors import DataError
from sslmed.core.files import remove_leftovers
from sslmed.core.label_amount import LabelAmount
from sslmed.core.progress import Advance, progress
from sslmed.experiments.engine import command, environment
from sslmed.experiments.executors.local import Executor
from sslmed.experiments.finished import has_results, read_results
from sslmed.experiments.runs import Run, write_plan
from sslmed.experiments.watching import Countdown, describe, log_sizes, running

SECONDS_BETWEEN_LOOKS = 2.0
"""How often the logs of runs that are under way are read."""

LAST_LINES = 10
"""Lines of the workflow's log that are shown if no run's log says what went wrong."""


@contextmanager
def sole_command(work: Path) -> Iterator[int]:
    """Lock an experiment's directory for this command and the workflow that it starts.

    The lock belongs to an open file that the workflow inherits. If this process is killed and the workflow continues,
    the next command waits for it instead of running at the same time. The system releases the lock when the last
    holder ends.

    Yields:
        File descriptor for the workflow to inherit.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".reproduce.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{work}: waiting for another command, or the rest of a killed one, to finish", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(work)
        yield file.fileno()


def run_workflow(work: Path, runs: Sequence[Run], *, executor: Executor, lock: int) -> None:
    """Do all runs that are not done, with the lock of `sole_command`. A failed run does not stop the others."""
    write_plan(work / "workflow.json", runs)
    todo = [run for run in runs if not has_results(work, run)]
    if not todo:
        return
    log_path, earlier = work / "workflow.log", log_sizes(work, todo)
    with log_path.open("w") as log, progress("training", len(runs), unit="runs") as advance:
        advance(len(runs) - len(todo))
        process = subprocess.Popen(  # noqa: S603 - our own command
            command(work, executor), stdout=log, stderr=subprocess.STDOUT, pass_fds=(lock,), env=environment(work)
        )
        try:
            _watch(process, work, runs, todo, earlier, advance=advance, poll_seconds=executor.poll_seconds)
        except BaseException:
            if process.returncode is None:  # else it has ended by itself
                executor.stop(psutil.Process(process.pid), work)
                process.wait()
            raise
    if process.returncode != 0:
        print(f"the workflow ended with status {process.returncode}: {log_path}", file=sys.stderr)
        if _never_started(work, todo, earlier):  # no run's log says why
            lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join([line for line in lines if line.strip()][-LAST_LINES:]), file=sys.stderr)


def _never_started(work: Path, todo: Sequence[Run], earlier: Mapping[str, int]) -> list[Run]:
    """List the runs that could have started, and whose job has written to no log."""
    sizes = log_sizes(work, todo)
    begun = {run.job for run in todo if sizes[run.name] > earlier[run.name]}
    left = {run.name for run in todo if not has_results(work, run)}
    return [run for run in todo if run.name in left and run.job not in begun and run.needs not in left]


def _watch(
    process: subprocess.Popen[bytes],
    work: Path,
    runs: Sequence[Run],
    todo: Sequence[Run],
    earlier: Mapping[str, int],
    *,
    advance: Advance,
    poll_seconds: float,
) -> None:
    """Show runs as they are done, and what is under way."""
    start = looked = time.monotonic()
    waiting, done, countdown = list(todo), list[Run](), Countdown()
    seconds = defaultdict[LabelAmount | None, list[float]](list)
    for run in runs:
        if run not in todo:
            seconds[run.labels] += _seconds(work, run)
    while True:
        ended = process.poll() is not None
        for run in [run for run in waiting if has_results(work, run)]:
            waiting.remove(run)
            done.append(run)
            seconds[run.labels] += _seconds(work, run)
            advance()
        if ended:
            return
        now = time.monotonic()
        if now - looked >= SECONDS_BETWEEN_LOOKS:
            looked = now
            under_way = running(work, waiting, earlier)
            left = countdown.left(now - start, seconds, done=done, under_way=under_way, waiting=waiting)
            advance(0, describe(left, under_way))
        with suppress(subprocess.TimeoutExpired):
            process.wait(poll_seconds)


def _seconds(work: Path, run: Run) -> list[float]:
    """Return what a finished run has taken, if that can be read: the time left is only an estimate."""
    try:
        return [float(read_results(work, run)["seconds"])]
    except (DataError, LookupError, TypeError, ValueError):
        return []
