"""What runs will cost, by the preset's estimate of one: time, disk and memory."""

from collections.abc import Sequence
from math import ceil

from sslmed.core.label_amount import LabelAmount
from sslmed.core.text import duration
from sslmed.experiments.devices import gpus
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.grid import Grid
from sslmed.experiments.preset import Estimate
from sslmed.experiments.runs import Run
from sslmed.preparation.store import Store

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


def cost_lines(
    grid: Grid, todo: Sequence[Run], stores: Sequence[Store], n_train: int | None, executor: Executor
) -> list[str]:
    """Say what the runs that are to do cost: time, disk and memory.

    Args:
        grid: What is compared.
        todo: The runs.
        stores: Prepared datasets, some of whose cases may not be prepared yet.
        n_train: Number of training cases, if known.
        executor: What runs the jobs.
    """
    estimate, jobs = grid.preset.estimate, executor.jobs
    n_devices = jobs
    if estimate.device == "GPU" and isinstance(executor, Local):
        n_devices = ceil(jobs / executor.jobs_per_gpu)  # jobs that share a GPU wait for each other
    seconds = training_seconds(estimate, todo, n_train) / min(n_devices, max(1, len(todo)))
    gib = len(todo) * estimate.disk_mib / 2**10
    for store in stores:
        if store.settings.geometry != "cube":
            continue
        bytes_per_voxel = BYTES_PER_VOXEL * store.in_channels + (store.labels == "map")
        gib += len(store.unprepared) * bytes_per_voxel * store.settings.size**store.spatial_dims / 2**30
    lines = [
        f"estimate: {duration(seconds)} of training with a {estimate.device} for each "
        f"job, {gib:.2f} GiB of disk, {jobs * estimate.memory_gib:.1f} GiB of memory"
    ]
    if estimate.device == "GPU" and isinstance(executor, Local) and not gpus():
        lines.append(
            "warning: this estimate is for GPUs, and here is none: training on the CPU takes many times longer"
        )
    return lines
