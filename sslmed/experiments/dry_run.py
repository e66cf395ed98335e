"""`sslmed reproduce --dry-run`: what would be done, and what it would cost."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sslmed.core.text import percent
from sslmed.data.splits import count_labels
from sslmed.experiments.check import parse
from sslmed.experiments.folds import split_dataset
from sslmed.experiments.plan import Grid, Run
from sslmed.experiments.settings import Estimate
from sslmed.experiments.sources import Source
from sslmed.experiments.workflow import is_done
from sslmed.preparation.readers.fundus import Photo
from sslmed.preparation.readers.layouts import Dataset

BYTES_PER_VOXEL = 2  # float16


def print_dry_run(
    grid: Grid,
    runs: Sequence[Run],
    source: Source,
    dataset: Dataset | None,
    pool: Dataset | None,
    *,
    work: Path,
    jobs: int,
) -> None:
    """Print each job with its runs, done and to do, and estimates of time, disk and memory.

    Args:
        grid: What is compared.
        runs: The plan.
        source: Where the data comes from.
        dataset: The dataset, if it is here.
        pool: The external pool, if there is one.
        work: The experiment's directory.
        jobs: Jobs side by side.
    """
    console = Console(soft_wrap=True)
    done = {run for run in runs if is_done(work, run)}
    table = Table("run", "done", "to do", title=f"{work.parent.name}: {work.name}", title_justify="left")
    for job in dict.fromkeys(run.job for run in runs):
        of_job = [run for run in runs if run.job == job]
        table.add_row(
            job, _names([run for run in of_job if run in done]), _names([run for run in of_job if run not in done])
        )
    console.print(table)
    todo = [run for run in runs if run not in done]
    console.print(_labels_line(grid, source, dataset))
    console.print(f"runs: {len(runs)}, of which {len(done)} are done and {len(todo)} are to do, {jobs} side by side")
    console.print(_cost_line(grid, todo, [each for each in (dataset, pool) if each is not None], jobs))
    if todo and dataset is not None:
        run = todo[0]
        command = "sslmed fit" if run.devices == 1 else f"torchrun --nproc-per-node {run.devices} -m sslmed fit"
        console.print(f"by hand, e.g.: {command} {shlex.join(run.arguments)}", highlight=False, markup=False)


def _names(runs: Sequence[Run]) -> str:
    return ", ".join("pretraining" if run.fraction is None else f"{percent(run.fraction)} %" for run in runs)


def _labels_line(grid: Grid, source: Source, dataset: Dataset | None) -> str:
    if dataset is None:
        return f"data: {source.folder} (not here yet: it will be {'drawn' if source.is_phantom else 'downloaded'})"
    n_labelled = sum(case.is_labelled for case in dataset.cases)
    split = split_dataset(dataset, fold=grid.folds[0], n_folds=grid.preset.n_folds)
    grades = {case.id: case.grade for case in dataset.cases if isinstance(case, Photo)}
    n_classes = len({grades.get(case) for case in split.train})  # 1 for volumes
    counts = ", ".join(
        f"{percent(f)} % = {count_labels(f, len(split.train), n_classes=n_classes)}" for f in grid.fractions
    )
    return (
        f"data: {dataset.root}: {n_labelled} labelled, {len(dataset.cases) - n_labelled} unlabelled cases\n"
        f"fold {grid.folds[0]}: {len(split.train)} training, {len(split.validation)} validation, "
        f"{len(split.test)} test cases; labelled for training: {counts}"
    )


def training_seconds(estimate: Estimate, runs: Sequence[Run]) -> float:
    """What runs take one after another: epochs on a fraction of the labels are that much shorter, updates are not."""
    finetuning = [run for run in runs if run.fraction is not None]
    in_epochs = bool(finetuning) and parse(finetuning[0].arguments).data.init_args.epochs is not None
    lengths = [run.fraction if in_epochs and run.fraction is not None else 1.0 for run in finetuning]
    return (len(runs) - len(finetuning)) * estimate.pretrain_seconds + sum(lengths) * estimate.finetune_seconds


def _cost_line(grid: Grid, todo: Sequence[Run], datasets: Sequence[Dataset], jobs: int) -> str:
    estimate, settings = grid.preset.estimate, grid.preset.prepare
    seconds = training_seconds(estimate, todo)
    gib = len(todo) * estimate.disk_mib / 2**10
    for dataset in datasets if settings.geometry == "cube" else ():
        bytes_per_voxel = BYTES_PER_VOXEL * len(dataset.modalities) + (dataset.spatial_dims == 3)
        gib += len(dataset.cases) * bytes_per_voxel * settings.size**dataset.spatial_dims / 2**30
    return (
        f"estimate: {seconds / min(jobs, max(1, len(todo))) / 60:.0f} minutes of training, {gib:.2f} GiB of disk, "
        f"{jobs * estimate.memory_gib:.1f} GiB of memory"
    )
