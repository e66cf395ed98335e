"""`sslmed reproduce`: from a dataset's name to a figure, in one command that goes on where it was stopped."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.data.decathlon import Dataset
from sslmed.data.prepare import prepare
from sslmed.data.splits import split_cases
from sslmed.errors import UserError
from sslmed.experiments.devices import default_jobs
from sslmed.experiments.dry_run import print_dry_run
from sslmed.experiments.plan import Grid, Run, plan_runs
from sslmed.experiments.settings import preset_folder, read_experiment, read_preset
from sslmed.experiments.sources import PHANTOM, Source
from sslmed.experiments.workflow import (
    failures,
    has_results,
    is_done,
    read_results,
    run_workflow,
    set_stale_runs_aside,
    sole_command,
)


@dataclass(frozen=True)
class Options:
    """Options of `sslmed reproduce`; `None` takes the preset's or the figure's.

    Attributes:
        figure: Which figure.
        data: `phantom`, a known dataset's name, or a path.
        preset: Name or folder of a preset.
        arms: Arms to compare.
        fractions: Label fractions.
        folds: Folds to run.
        seeds: Seeds of fine-tuning.
        jobs: Jobs side by side.
        out: Where tables and figures go.
        runs: Where runs and prepared stores go.
        downloads: Where downloaded and drawn datasets go.
        wandb: `disabled`, `offline` or `online`.
        dry_run: Only list what would be done.
    """

    figure: str
    data: str = PHANTOM
    preset: str = "quick"
    arms: Sequence[str] | None = None
    fractions: Sequence[float] | None = None
    folds: Sequence[int] | None = None
    seeds: Sequence[int] | None = None
    jobs: int | None = None
    out: Path = Path("results")
    runs: Path = Path("runs")
    downloads: Path = Path("data")
    wandb: str = "disabled"
    dry_run: bool = False


def reproduce(options: Options) -> int:
    """Do whatever is not yet done for a figure.

    Returns:
        0 if the figure is complete, 1 if runs failed; it then marks their cells as missing.

    Raises:
        UserError: If something the user gave cannot be used; nothing has been trained then.
    """
    jobs = default_jobs() if options.jobs is None else options.jobs
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, got {jobs}")
    grid = _grid(options)
    source = Source(options.data, options.downloads, grid.experiment.phantom, grid.preset.phantom)
    dataset = None if options.dry_run and source.is_absent else source.fetch()
    key = "unknown"
    if dataset is not None:
        _check_cases(dataset, grid)
        key = grid.preset.prepare.key(dataset)
    name = f"{source.name}-{grid.preset_folder.name}"
    work = (options.runs / grid.experiment.figure / name).absolute()
    store = (options.runs / "stores" / f"{source.name}-{key}").absolute()
    runs = plan_runs(grid, dataset=source.name, store=store, work=work, wandb=options.wandb)
    if not all(is_done(work, run) for run in runs):
        _check_configuration(runs, dataset, work)
    if options.dry_run:
        print_dry_run(grid, runs, source, dataset, work=work, jobs=jobs)
        return 0
    with sole_command(work) as lock:
        set_stale_runs_aside(work, runs)
        if not all(is_done(work, run) for run in runs):
            prepare(source.folder, store, grid.preset.prepare)
            run_workflow(work, runs, jobs=jobs, lock=lock)
        return _report(work, runs, options.out / grid.experiment.figure / name, phantom=source.is_phantom)


def _grid(options: Options) -> Grid:
    experiment = read_experiment(options.figure)
    folder = preset_folder(options.preset)
    preset = read_preset(folder)

    return Grid(
        experiment=experiment,
        preset=preset,
        preset_folder=folder,
        arms=tuple(experiment.arms if options.arms is None else options.arms),
        fractions=tuple(experiment.fractions if options.fractions is None else options.fractions),
        folds=tuple(preset.folds if options.folds is None else options.folds),
        seeds=tuple(preset.seeds if options.seeds is None else options.seeds),
    )


def _check_cases(dataset: Dataset, grid: Grid) -> None:
    labelled = [case.id for case in dataset.cases if case.label is not None]
    if not labelled:
        raise UserError(f"{dataset.root}: has no labelled case, and without labels nothing can be fine-tuned or scored")
    for fold in grid.folds:
        split_cases(labelled, fold=fold, n_folds=grid.preset.n_folds)


def _check_configuration(runs: Sequence[Run], dataset: Dataset | None, work: Path) -> None:
    from sslmed.experiments.check import check_runs  # takes seconds to import

    check_runs(runs, in_channels=1 if dataset is None else len(dataset.modalities), work=work)


def _report(work: Path, runs: Sequence[Run], out: Path, *, phantom: bool) -> int:
    """Write tables and figure from the runs that are done, and say which are not."""
    from sslmed.experiments.figures import draw_figure  # pandas and matplotlib take a while to import
    from sslmed.experiments.tables import collect, write_tables

    failed = failures(work, runs)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    finetuning = [run for run in runs if run.fraction is not None]
    if not any(has_results(work, run) for run in finetuning):
        print("no run has finished: there is nothing to draw", file=sys.stderr)
        return 1
    tables = collect([work / run.name for run in finetuning])
    write_tables(tables, out)
    figure = out / f"{work.parent.name}.png"
    draw_figure(tables, figure, figure.with_suffix(".svg"), phantom=phantom, notes=_notes(work, runs))
    print(f"results.csv, cases.csv, summary.csv, {figure.name} and {figure.stem}.svg are in {out}")
    return 1 if failed else 0


def _notes(work: Path, runs: Sequence[Run]) -> list[str]:
    pretraining = [run for run in runs if run.fraction is None and has_results(work, run)]
    if any(read_results(work, run).get("transductive", False) for run in pretraining):
        return ["Transductive: pretraining has seen the images of the test cases."]
    return []
