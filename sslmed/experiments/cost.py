"""What runs will cost, by the preset's estimate of one: time, disk and memory."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from sslmed.core.label_amount import LabelAmount
from sslmed.core.startup import importing
from sslmed.core.text import duration
from sslmed.experiments.devices import gpus
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.preset import Estimate
from sslmed.experiments.runs import Run

BYTES_PER_VOXEL = 2  # float16


def training_seconds(estimate: Estimate, runs: Sequence[Run], n_train: int | None = None) -> float:
    """Estimate the total duration of runs in seconds. Epochs on few labels are shorter, a number of updates is not.

    Args:
        estimate: Cost of a run.
        runs: The runs.
        n_train: Number of training cases, if known, to convert numbers of labels to fractions.
    """
    finetuning = [run for run in runs if run.labels is not None]
    in_epochs = bool(finetuning) and finetuning[0].setting("data.epochs", None) is not None
    lengths = [_fraction(run.labels, n_train) if in_epochs and run.labels else 1.0 for run in finetuning]
    return (len(runs) - len(finetuning)) * estimate.pretrain_seconds + sum(lengths) * estimate.finetune_seconds


def _fraction(labels: LabelAmount, n_train: int | None) -> float:
    if labels.fraction is not None:
        return labels.fraction
    return 1.0 if n_train is None else (labels.count or 0) / n_train


def estimate_of(grid: Grid, spatial_dims: int) -> Estimate:
    """Return the estimate of a run: the preset's, or larger where the command names an encoder that takes more.

    A preset with a spacing has its own size of images, and `--spacing auto` writes what they cost with the encoder.
    """
    estimate, settings = grid.preset.estimate, grid.prepare_settings(spatial_dims)
    if grid.encoder is None or settings.geometry != "cube":
        return estimate
    with importing():
        from sslmed.experiments.network import build_encoder, disk_of, memory_of  # takes seconds
    usual, chosen = (build_encoder(each, spatial_dims) for each in (replace(grid, encoder=None), grid))
    try:
        memory, usual_memory = memory_of(grid, chosen), memory_of(grid, usual)
    except (RuntimeError, ValueError) as error:  # one of the user's own may take images of one size alone
        print(f"{grid.encoder}: cannot be tried, so the estimate is of the figure's encoder: {error}", file=sys.stderr)
        return estimate
    voxels = settings.size**spatial_dims
    longer = memory.slowness(voxels, usual_memory, voxels)
    return replace(
        estimate,
        pretrain_seconds=estimate.pretrain_seconds * longer,
        finetune_seconds=estimate.finetune_seconds * longer,
        memory_gib=max(estimate.memory_gib, memory.of_update(voxels) / 2**30),
        disk_mib=disk_of(grid, chosen, usual),
    )


def total_seconds(estimate: Estimate, runs: Sequence[Run], n_train: int | None, at_once: int) -> float:
    """Estimate how long runs take, so many jobs at once. A job does its runs one by one, after those that it needs."""
    jobs = defaultdict[str, set[Run]](set)
    for run in runs:
        jobs[run.job].add(run)
    named = {run.name: run for run in runs}
    chains = [[*{*each, *(named[run.needs] for run in each if run.needs in named)}] for each in jobs.values()]
    longest = max((training_seconds(estimate, chain, n_train) for chain in chains), default=0.0)
    return max(longest, training_seconds(estimate, runs, n_train) / at_once)


def cost_lines(grid: Grid, todo: Sequence[Run], places: Places, n_train: int | None, executor: Executor) -> list[str]:
    """Say what the runs that are to do cost: time, disk and memory.

    Args:
        grid: What is compared.
        todo: The runs.
        places: Paths of the experiment, and what runs see of the data, some of which may not be prepared yet.
        n_train: Number of training cases, if known.
        executor: What runs the jobs.
    """
    are_photographs = places.seen is None and grid.experiment.photo == "fundus"  # not here yet, but that is known
    estimate = estimate_of(grid, 2 if are_photographs else places.spatial_dims)
    jobs = min(executor.jobs, len({run.job for run in todo}))
    at_once = executor.jobs
    if estimate.device == "GPU" and isinstance(executor, Local):
        at_once = ceil(at_once / executor.jobs_per_gpu)  # jobs that share a GPU wait for each other
    seconds = total_seconds(estimate, todo, n_train, at_once)
    gib = len(todo) * estimate.disk_mib / 2**10
    seen = places.seen
    for store in () if seen is None else filter(None, (seen.store, seen.pool, seen.source)):
        if store.settings.geometry != "cube":
            continue
        bytes_per_voxel = BYTES_PER_VOXEL * store.in_channels + (store.labels == "map")
        gib += len(store.unprepared) * bytes_per_voxel * store.settings.size**store.spatial_dims / 2**30
    lines = [
        f"estimate: {duration(seconds)} of training with a {estimate.device} for each job, {gib:.2f} GiB of disk, "
        f"{jobs * estimate.memory_gib:.1f} GiB of memory ({estimate.memory_gib:.1f} for each)"
    ]
    if estimate.device == "GPU" and isinstance(executor, Local) and not gpus():
        lines.append(
            "warning: this estimate is for GPUs, and here is none: training on the CPU takes many times longer"
        )
    return lines
