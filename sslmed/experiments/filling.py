"""How many jobs share the GPUs of this machine where `--jobs` does not say it: as many as cores and memory allow.

Finished runs say how much memory a run takes; if there is none yet, one is done alone on each GPU first. How busy a GPU
is does not count. The driver tells in which fraction of time some kernel runs, not how much of the GPU it uses; and if
jobs take turns on a busy GPU, all of them together should take no longer.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.core.gpu_sharing import RAN_OUT
from sslmed.core.machine import available_memory, usable_cores
from sslmed.core.text import count
from sslmed.experiments.devices import default_jobs, free_gpu_memory, gpus
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.failures import failures
from sslmed.experiments.finished import has_results, is_done, read_results
from sslmed.experiments.runs import Run
from sslmed.experiments.workflow import run_workflow

FOR_UPDATES = 0.5
"""Fraction of a GPU for all that jobs keep there but images, which have the rest (`data.device_memory`)."""

CONTEXT_BYTES = 3 * 2**28
"""What CUDA itself takes of a GPU for each process; PyTorch does not count it."""


@dataclass(frozen=True)
class Peak:
    """The largest memory of finished runs, in bytes.

    Attributes:
        gpu: Memory of a GPU.
        process: Memory of the machine.
    """

    gpu: int
    process: int


def local(jobs: int | None, devices: int) -> Local:
    """Return the executor for this machine.

    Args:
        jobs: Jobs side by side; `None` for as many as fit.
        devices: GPUs, or processes on the CPU, per run.
    """
    n_gpus, usual = len(gpus()), default_jobs(devices)
    if n_gpus == 0:
        return Local(jobs or usual)
    if jobs is None:
        return Local(usual, devices, fills=True, why="until the memory of a first run says how many share a GPU")
    return Local(jobs, devices, ceil(jobs * devices / n_gpus))


def run_all(work: Path, runs: Sequence[Run], *, executor: Executor, lock: int) -> None:
    """Do all runs that are not done; on GPUs of this machine, with as many jobs as fit.

    Runs for which the memory of a shared GPU did not suffice are done again, one on each GPU. Others that fail are not.
    The lock is that of `sole_command`.
    """
    if isinstance(executor, Local) and executor.fills:
        first = first_runs(work, runs, executor.jobs)
        if first and peak(work, runs) is None:
            print(f"{executor.jobs} side by side {executor.why}", file=sys.stderr)
            run_workflow(work, first, executor=executor, lock=lock)
            failed = {run.name for run in first if not has_results(work, run)}
            runs = [run for run in runs if run.name not in failed and run.needs not in failed]
        executor = fill(executor, work, runs)
        if not executor.fills:
            print(f"{executor.jobs} side by side {executor.why}", file=sys.stderr)
    run_workflow(work, runs, executor=executor, lock=lock)
    if isinstance(executor, Local) and executor.jobs_per_gpu > 1:
        lacking = {each.run for each in failures(work, runs, {}) if RAN_OUT in each.reason}
        if lacking:
            print(f"{RAN_OUT} in {count(len(lacking), 'run')}: done again, one on each GPU", file=sys.stderr)
            alone = Local(default_jobs(executor.gpus), executor.gpus)
            again = [run for run in runs if run.name in lacking or run.needs in lacking]
            run_workflow(work, again, executor=alone, lock=lock)


def first_runs(work: Path, runs: Sequence[Run], number: int) -> list[Run]:
    """Choose runs to measure, of different jobs, fine-tuning if possible; none if there are not more jobs than that."""
    waiting = [run for run in runs if not is_done(work, run)]
    names = {run.name for run in waiting}
    of_jobs = {run.job: run for run in reversed(waiting)}  # the first run of each
    able = [run for run in waiting if run is of_jobs[run.job] and run.needs not in names]
    return sorted(able, key=lambda run: run.labels is None)[:number] if len(of_jobs) > number else []


def peak(work: Path, runs: Sequence[Run]) -> Peak | None:
    """Return the peak memory of those runs that were done on a GPU; `None` if there is none."""
    peaks = []
    for run in (run for run in runs if is_done(work, run)):
        try:
            results = read_results(work, run)
            if not results["device"].endswith("CPU"):
                peaks.append((int(results["peak_memory_bytes"]), int(results["process_memory_bytes"])))
        except (DataError, LookupError, TypeError, ValueError):  # the number of jobs is only an estimate
            continue
    return Peak(*map(max, zip(*peaks, strict=True))) if peaks else None


def fill(executor: Local, work: Path, runs: Sequence[Run]) -> Local:
    """Choose the number of jobs from the peak memory of finished runs; leave it as it is if none is known."""
    found = peak(work, runs) if executor.fills else None
    if found is None:
        return executor
    room = free_gpu_memory() * FOR_UPDATES
    limits = {
        "jobs": len({run.job for run in runs if not is_done(work, run)}),
        "cores": usable_cores() // executor.gpus,
        "memory": available_memory() // (found.process * executor.gpus),
        "GPU memory": executor.jobs * int(room // (found.gpu + CONTEXT_BYTES)),
    }
    jobs = max(executor.jobs, min(limits.values()))  # one on each GPU in any case
    jobs_per_gpu = ceil(jobs * executor.gpus / len(gpus()))
    why = f"({', '.join(f'{name}: {limit}' for name, limit in limits.items())})"
    return replace(executor, jobs=jobs, jobs_per_gpu=jobs_per_gpu, fills=False, why=why)
