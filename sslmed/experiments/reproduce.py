"""`sslmed reproduce`: from the name of a dataset to a figure, in one command that resumes after an interruption."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from sslmed.core.files import check_writable, refuse_within
from sslmed.core.startup import importing
from sslmed.evaluation.resolution import lost_labels
from sslmed.experiments.auto_preset import with_own_spacing
from sslmed.experiments.choices import (
    choose_executor,
    choose_grid,
    choose_sources,
    refuse_unused_probes,
    require_images,
)
from sslmed.experiments.configs import config_root
from sslmed.experiments.data_checks import check_data, check_folds, check_sizes
from sslmed.experiments.devices import check_gpus
from sslmed.experiments.dry_run import print_dry_run
from sslmed.experiments.earlier import Plan, with_earlier, with_earlier_arms
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.experiment import keep_experiment
from sslmed.experiments.filling import fill, run_all
from sslmed.experiments.final import final_grid, finished_comparison, refuse_inapplicable
from sslmed.experiments.finished import is_done, set_stale_runs_aside
from sslmed.experiments.grid import Grid
from sslmed.experiments.inputs import Inputs, find_inputs
from sslmed.experiments.options import Options
from sslmed.experiments.origin import (
    files_of,
    keep_origin,
    refuse_namesakes,
    refuse_other_data,
    say_if_precision_is_slow,
    settle_precision,
)
from sslmed.experiments.places import Places
from sslmed.experiments.plan import plan_runs
from sslmed.experiments.runs import Run, write_plan
from sslmed.experiments.sources import Source
from sslmed.experiments.workflow import sole_command
from sslmed.training.wandb.session import Mode, check_account


@dataclass(frozen=True)
class Outcome:
    """Holds the runs of a figure, finished or failed.

    Attributes:
        work: The directory that holds the run directories.
        runs: The plan.
        whole: The plan, and what earlier commands have finished with the same settings; for a final model the latter.
        out: Folder for tables and figures.
        metrics: Scores to plot, the main one first.
        wandb: `disabled`, `offline` or `online`.
    """

    work: Path
    runs: Sequence[Run]
    whole: Sequence[Run]
    out: Path
    metrics: Sequence[str]
    wandb: Mode | Literal["disabled"]


@dataclass(frozen=True)
class _Command:
    """Holds what is to be done: `plan` lists the runs of a grid; see `files_of`, `find_inputs` and `Places`.

    `compared` are the finished runs that tell what to expect of a final model.
    """

    grid: Grid
    executor: Executor
    inputs: Inputs
    places: Places
    out: Path
    files: Mapping[str, str]
    plan: Plan
    compared: Sequence[Run]


def reproduce(options: Options) -> Outcome | None:
    """Do all runs of a figure that are not yet done.

    Returns:
        The runs; `None` after a dry run.

    Raises:
        UserError: If an option or a file of the user's is not valid. Nothing has been trained then.
    """
    with TemporaryDirectory(prefix="sslmed-") as drafts:
        return _reproduce(options, Path(drafts).resolve())


def _reproduce(options: Options, drafts: Path) -> Outcome | None:
    command = _prepare_command(options, drafts)
    executor, inputs, places = command.executor, command.inputs, command.places
    grid = settle_precision(command.grid, places.work, executor)
    say_if_precision_is_slow(grid, places.work, executor)
    runs = command.plan(grid, places)
    _check_runs(runs, places, inputs, grid)
    if not options.dry_run:
        return _do(command, options)
    if isinstance(executor, Local):
        executor = fill(executor, places.work, runs)
    own = grid.preset_folder.is_relative_to(drafts)
    print_dry_run(grid, runs, inputs, places, executor=executor, by_hand=not own)
    return None


def _prepare_command(options: Options, drafts: Path) -> _Command:
    """Find out what to do, and check it. Only data and a preset are written, where they are absent."""
    refuse_inapplicable(options)
    executor, grid = choose_executor(options), choose_grid(options)
    if options.wandb == "online" and not options.dry_run:
        check_account(verify=True)
    data, pool, source = choose_sources(options, grid)
    folders = [folder for each in (data, pool, source) if each is not None for folder in each.folders]
    for option, folder in (("--out", options.out), ("--runs", options.runs)):
        refuse_within(folder, folders, f"{option} {folder}")
    if options.auto_spacing:
        grid = with_own_spacing(options, grid, data, executor, drafts)
    name = f"{data.name}-{grid.name}"
    out = options.out / grid.experiment.figure / name
    work = (options.runs / grid.experiment.figure / name).absolute()
    files = files_of(grid, options.figure)
    refuse_namesakes(work, files)
    if not options.dry_run:
        for option, folder in (("--out", out), ("--runs", options.runs), ("--downloads", options.downloads)):
            check_writable(folder, option)
    inputs = find_inputs(data, pool, source, dry_run=options.dry_run)
    places = inputs.places(grid, work, (options.runs / "stores").absolute())
    refuse_other_data(inputs, places)
    places = replace(places, seen=inputs.preview(places, grid.prepare_settings(places.spatial_dims)))
    plan = partial(plan_runs, dataset=data.name, wandb=options.wandb, devices=options.devices, probes=options.probes)
    compared: Sequence[Run] = ()
    if options.final:
        grid = with_earlier_arms(settle_precision(grid, work, executor), work)
        compared = finished_comparison(grid, places, plan)
        grid = final_grid(grid, work, options.arms, compared)
        require_images(grid.arms, options)
        refuse_unused_probes(grid, options)
        files = files_of(grid, options.figure)
    if inputs.dataset is not None:
        check_data(inputs.dataset, filter(None, (inputs.pool_dataset, inputs.source_dataset)), grid)
        _say_what_quick_is_for(grid, data, inputs.dataset.spatial_dims)
    return _Command(grid, executor, inputs, places, out, files, plan, compared)


def _do(command: _Command, options: Options) -> Outcome:
    """Do the runs that are not done, as the only command in the experiment's directory."""
    executor, inputs, places, plan = command.executor, command.inputs, command.places, command.plan
    work = places.work
    with sole_command(work) as lock:
        executor.wait_for_others(work)
        # Another machine's command may have been the first one in the meantime.
        grid = settle_precision(command.grid, work, executor)
        runs = plan(grid, places)
        if not _all_done(work, runs):
            if isinstance(executor, Local):
                check_gpus(executor.gpus)
            settings = grid.prepare_settings(places.spatial_dims)
            seen = inputs.prepare(places, settings, grid.experiment.label_kind)
            places = replace(places, seen=seen)
            runs = plan(grid, places)
            check_sizes(runs, seen)
        for warning in lost_labels(places.seen.store) if places.seen is not None else ():
            print(warning, file=sys.stderr)
        whole = with_earlier(grid, places, runs, plan)
        if not grid.final:  # the plan is of what is compared
            write_plan(work / "plan.json", whole.runs)
        if not _all_done(work, runs):
            set_stale_runs_aside(work, runs)
            keep_experiment(work, whole.experiment)
            keep_origin(work, command.files, grid.preset.precision)
            run_all(work, runs, executor=executor, lock=lock)
    _report_others(work, whole.other_settings)
    shown = command.compared if grid.final else whole.runs
    return Outcome(work, runs, shown, command.out, grid.experiment.metrics, options.wandb)


def _all_done(work: Path, runs: Sequence[Run]) -> bool:
    return all(is_done(work, run) for run in runs)


def _check_runs(runs: Sequence[Run], places: Places, inputs: Inputs, grid: Grid) -> None:
    """Check the settings of all runs, if there is one to do."""
    if _all_done(places.work, runs):
        return
    if places.seen is not None:
        check_folds(runs, places.seen.store, grid.preset.n_folds)
        check_sizes(runs, places.seen)
    with importing():
        from sslmed.experiments.check import check_runs  # takes seconds
    check_runs(runs, places, inputs, grid.experiment.arms)


def _report_others(work: Path, others: Sequence[str]) -> None:
    if others:
        print(
            f"{work}: {len(others)} finished runs have other settings or data and are in no table or figure (e.g. "
            f"{others[0]}); a command for these arms, folds and labels does them again",
            file=sys.stderr,
        )


def _say_what_quick_is_for(grid: Grid, data: Source, spatial_dims: int) -> None:
    if grid.preset_folder.name != "quick" or not grid.preset_folder.is_relative_to(config_root()) or data.is_public:
        return
    size, form = grid.prepare_settings(spatial_dims).size, {2: "² pixels", 3: "³ voxels"}[spatial_dims]
    other = "--spacing auto, which keeps volumes whole, or " if spatial_dims == 3 else ""
    print(f"quick is for demonstrations: it reduces images to {size}{form}; try {other}--preset sound", file=sys.stderr)
