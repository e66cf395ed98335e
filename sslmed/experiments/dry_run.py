"""`sslmed reproduce --dry-run`: lists the runs and estimates time, disk and memory."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.table import Table

from sslmed.core.text import duration
from sslmed.data.splits import hold_out
from sslmed.experiments.arms import Arm
from sslmed.experiments.devices import gpus
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.folds import FoldSizes, fold_sizes
from sslmed.experiments.plan import Grid, Places, Run
from sslmed.experiments.settings import Estimate
from sslmed.experiments.sources import Source
from sslmed.experiments.workflow import is_done
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.settings import PrepareSettings

BYTES_PER_VOXEL = 2  # float16
SSLMED = [sys.executable, "-m", "sslmed"]
"""The command, which works in any shell and folder."""


def print_dry_run(
    grid: Grid,
    runs: Sequence[Run],
    source: Source,
    dataset: Dataset | None,
    pool: Dataset | None,
    *,
    places: Places,
    executor: Executor,
) -> None:
    """Print each job with its runs, done and to do, and estimates of time, disk and memory.

    Args:
        grid: Arms, labels, folds and seeds of the experiment.
        runs: The plan.
        source: Source of the data.
        dataset: The dataset, if it exists already.
        pool: The external pool, if there is one.
        places: Paths of the experiment.
        executor: Executor that would run the jobs.
    """
    console = Console(soft_wrap=True)
    work = places.work
    done = {run for run in runs if is_done(work, run)}
    table = Table("run", "done", "to do", title=f"{work.parent.name}: {work.name}", title_justify="left")
    for job in dict.fromkeys(run.job for run in runs):
        of_job = [run for run in runs if run.job == job]
        table.add_row(
            job, _names([run for run in of_job if run in done]), _names([run for run in of_job if run not in done])
        )
    console.print(table)
    todo = [run for run in runs if run not in done]
    lines = _data_lines(grid, runs, source, dataset, pool)
    lines.append(
        f"runs: {len(runs)}, of which {len(done)} are done and {len(todo)} are to do, {executor.jobs} side by side"
    )
    n_train = None if dataset is None else fold_sizes(dataset, fold=grid.folds[0], n_folds=grid.preset.n_folds).train
    lines += _cost_lines(grid, todo, [each for each in (dataset, pool) if each is not None], n_train, executor)
    if todo and dataset is not None:
        lines += ["by hand, e.g.:", *_commands(todo[0], places, dataset, pool, grid)]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _names(runs: Sequence[Run]) -> str:
    return ", ".join("pretraining" if run.labels is None else str(run.labels) for run in runs)


def _data_lines(
    grid: Grid, runs: Sequence[Run], source: Source, dataset: Dataset | None, pool: Dataset | None
) -> list[str]:
    """Count cases: of each fold, for pretraining, and with labels."""
    lines = []
    if dataset is None:
        verb = "generated" if source.is_phantom else "downloaded"
        lines.append(f"data: {source.folder} (not here yet: it will be {verb})")
    else:
        n_labelled = sum(case.is_labelled for case in dataset.cases)
        n_unlabelled = len(dataset.cases) - n_labelled
        lines.append(f"data: {dataset.root}: {n_labelled} labelled, {n_unlabelled} unlabelled cases")
        transductive = _is_transductive(runs)
        for fold in grid.folds:
            lines += _fold_lines(grid, fold_sizes(dataset, fold=fold, n_folds=grid.preset.n_folds), transductive)
        if dataset.spatial_dims == 2:
            lines.append("copies of an image are found while preparing, and count once in pretraining")
    if pool is not None:
        seen, validation = map(len, hold_out([case.id for case in pool.cases], seed=0))
        lines.append(f"external pool: {pool.root}: pretraining sees {seen} images; {validation} are for its validation")
    return lines


def _fold_lines(grid: Grid, sizes: FoldSizes, transductive: bool) -> list[str]:
    seen = sizes.train + sizes.unlabelled + sizes.test * transductive
    n_labels = {amount: sizes.n_labels(amount) for amount in sorted(grid.labels)}
    labels = ", ".join(str(a) if a.fraction is None else f"{a} = {number}" for a, number in n_labels.items())
    lines = [
        f"fold {sizes.fold}: {sizes.train} training, {sizes.validation} validation, {sizes.test} test cases; "
        f"pretraining sees {seen} images{', those of test cases too' * transductive}; labelled for training: {labels}"
    ]
    for number in dict.fromkeys(n_labels.values()):
        same = [str(amount) for amount, its_number in n_labels.items() if its_number == number]
        if len(same) > 1:
            lines.append(f"warning: in fold {sizes.fold}, {' and '.join(same)} are the same, n = {number}: drop one")
    return lines


def _is_transductive(runs: Sequence[Run]) -> bool:
    """Whether any pretraining run on the dataset's own images is configured as transductive."""
    of_arms = {run.arm: run for run in runs if run.labels is None and not Arm.parse(run.arm).external}
    return any(_data_settings(run).transductive for run in of_arms.values())


def _data_settings(run: Run) -> Any:  # noqa: ANN401 - a jsonargparse Namespace
    from sslmed.experiments.check import parse  # takes seconds

    return parse(run.arguments).data.init_args


def training_seconds(estimate: Estimate, runs: Sequence[Run], n_train: int | None = None) -> float:
    """Estimate the total duration of runs in seconds. Epochs on few labels are shorter, a number of updates is not.

    Args:
        estimate: Cost of a run.
        runs: The runs.
        n_train: Number of training cases, if known, to convert numbers of labels to fractions.
    """
    finetuning = [run for run in runs if run.labels is not None]
    in_epochs = bool(finetuning) and _data_settings(finetuning[0]).epochs is not None
    lengths = [_fraction(run, n_train) if in_epochs else 1.0 for run in finetuning]
    return (len(runs) - len(finetuning)) * estimate.pretrain_seconds + sum(lengths) * estimate.finetune_seconds


def _fraction(run: Run, n_train: int | None) -> float:
    if run.labels is None or run.labels.fraction is not None:
        return 1.0 if run.labels is None else run.labels.fraction or 1.0
    return 1.0 if n_train is None else (run.labels.count or 0) / n_train


def _cost_lines(
    grid: Grid, todo: Sequence[Run], datasets: Sequence[Dataset], n_train: int | None, executor: Executor
) -> list[str]:
    estimate, jobs = grid.preset.estimate, executor.jobs
    seconds = training_seconds(estimate, todo, n_train)
    gib = len(todo) * estimate.disk_mib / 2**10
    for dataset in datasets:
        settings = grid.prepare_settings(dataset.spatial_dims)
        if settings.geometry != "cube":
            continue
        bytes_per_voxel = BYTES_PER_VOXEL * len(dataset.modalities) + (dataset.labels == "map")
        gib += len(dataset.cases) * bytes_per_voxel * settings.size**dataset.spatial_dims / 2**30
    lines = [
        f"estimate: {duration(seconds / min(jobs, max(1, len(todo))))} of training with a {estimate.device} for each "
        f"job, {gib:.2f} GiB of disk, {jobs * estimate.memory_gib:.1f} GiB of memory"
    ]
    if estimate.device == "GPU" and isinstance(executor, Local) and not gpus():
        lines.append(
            "warning: this estimate is for GPUs, and here is none: training on the CPU takes many times longer"
        )
    return lines


def _commands(run: Run, places: Places, dataset: Dataset, pool: Dataset | None, grid: Grid) -> list[str]:
    """Return the commands that do a run in a shell, preparing its images first if necessary."""
    lines = []
    external = pool is not None and run.labels is None and Arm.parse(run.arm).external
    images, store = (pool, places.pool) if external else (dataset, places.store)
    if images is not None and store is not None and not (store / "store.json").is_file():
        command = [*SSLMED, "prepare", str(images.root.absolute()), "--store", str(store)]
        command += _options(grid.prepare_settings(places.spatial_dims))
        command += ["--pool"] if external else ["--task", grid.experiment.task]
        lines.append(shlex.join(command))
    several = ["-m", "torch.distributed.run", "--nproc-per-node", str(run.devices)]
    launch = SSLMED if run.devices == 1 else [sys.executable, *several, *SSLMED[1:]]
    return [*lines, shlex.join([*launch, "fit", *run.arguments])]


def _options(settings: PrepareSettings) -> list[str]:
    """Options of `sslmed prepare` that differ from the default."""
    options = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value != field.default:
            values = value if isinstance(value, tuple) else [value]
            options += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return options
