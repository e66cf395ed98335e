"""`sslmed reproduce`: from the name of a dataset to a figure, in one command that resumes after an interruption."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from sslmed.core.errors import UserError
from sslmed.core.files import check_writable
from sslmed.core.label_amount import label_amounts
from sslmed.core.startup import importing
from sslmed.evaluation.statistics import MANY_FOLDS, is_too_narrow
from sslmed.experiments.arms import EXTERNAL, SUPERVISED, Arm, null_arms
from sslmed.experiments.auto_preset import with_own_spacing
from sslmed.experiments.data_checks import check_data, check_folds, check_sizes
from sslmed.experiments.devices import check_devices, check_gpus
from sslmed.experiments.dry_run import print_dry_run
from sslmed.experiments.earlier import with_earlier
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.executors.slurm import slurm
from sslmed.experiments.filling import fill, local, run_all
from sslmed.experiments.final import final_grid, refuse_inapplicable
from sslmed.experiments.grid import Grid
from sslmed.experiments.inputs import Inputs, find_inputs
from sslmed.experiments.options import Options
from sslmed.experiments.origin import (
    files_of,
    keep_origin,
    refuse_namesakes,
    say_if_precision_is_slow,
    settle_precision,
)
from sslmed.experiments.own import add_arms, expand_groups, find_encoder
from sslmed.experiments.plan import Run, plan_runs, write_plan
from sslmed.experiments.seen import SeenData
from sslmed.experiments.settings import config_root, keep_experiment, preset_folder, read_experiment, read_preset
from sslmed.experiments.sources import Pool, Source
from sslmed.experiments.workflow import is_done, set_stale_runs_aside, sole_command
from sslmed.training.wandb.session import Mode, check_account


@dataclass(frozen=True)
class Outcome:
    """Holds the runs of a figure, finished or failed.

    Attributes:
        work: The directory that holds the run directories.
        runs: The plan.
        whole: The plan, and what earlier commands have finished with the same settings.
        out: Folder for tables and figures.
        metrics: Scores to plot, the main one first.
        phantom: Whether the images are synthetic.
        notes: Additional lines below the figure.
        wandb: `disabled`, `offline` or `online`.
    """

    work: Path
    runs: Sequence[Run]
    whole: Sequence[Run]
    out: Path
    metrics: Sequence[str]
    phantom: bool
    notes: Sequence[str]
    wandb: Mode | Literal["disabled"]


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
    refuse_inapplicable(options)
    executor, grid = _executor(options), _grid(options)
    if options.wandb == "online" and not options.dry_run:
        check_account(verify=True)
    source, pool, rival = _sources(options, grid)
    if options.auto_spacing:
        grid = _with_own_spacing(options, grid, source, executor, drafts)
    name = f"{source.name}-{grid.name}"
    out = options.out / grid.experiment.figure / name
    work = (options.runs / grid.experiment.figure / name).absolute()
    if options.final:
        grid = final_grid(grid, work, options.arms)
        _require_images(grid.arms, options)
    files = files_of(grid, options.figure)
    refuse_namesakes(work, files)
    if not options.dry_run:
        for option, folder in (("--out", out), ("--runs", options.runs), ("--downloads", options.downloads)):
            check_writable(folder, option)
    inputs = find_inputs(source, pool, rival, dry_run=options.dry_run)
    if inputs.dataset is not None:
        check_data(inputs.dataset, filter(None, (inputs.images, inputs.labelled)), grid)
        _say_what_quick_is_for(grid, source, inputs.dataset.spatial_dims)
    places = inputs.places(grid, work, (options.runs / "stores").absolute())
    settings = grid.prepare_settings(places.spatial_dims)
    places = replace(places, seen=inputs.preview(places, settings))
    if places.seen is not None:
        check_folds(places.seen.store, grid)
    plan = partial(
        plan_runs,
        dataset=source.name,
        wandb=options.wandb,
        devices=options.devices,
        probes=options.probes,
    )
    asked, grid = grid, settle_precision(grid, work, executor)
    say_if_precision_is_slow(grid, work, executor)
    runs = plan(grid, places)
    _check_runs(runs, work, inputs, grid, places.seen)
    if options.dry_run:
        if isinstance(executor, Local):
            executor = fill(executor, work, runs)
        own = grid.preset_folder.is_relative_to(drafts)
        print_dry_run(grid, runs, inputs, places, executor=executor, by_hand=not own)
        return None
    with sole_command(work) as lock:
        executor.wait_for_others(work)
        grid = settle_precision(asked, work, executor)  # another machine's command may have been the first one
        runs = plan(grid, places)
        if not _all_done(work, runs):
            if isinstance(executor, Local):
                check_gpus(executor.gpus)
            seen = inputs.prepare(places, settings, grid.experiment.label_kind)
            places = replace(places, seen=seen)
            runs = plan(grid, places)
            check_sizes(runs, seen)
        whole = with_earlier(grid, places, runs, plan)
        if not grid.final:  # the plan is of what is compared
            write_plan(work / "plan.json", whole.runs)
        if not _all_done(work, runs):
            set_stale_runs_aside(work, runs)
            keep_experiment(work, whole.experiment)
            keep_origin(work, files, grid.preset.precision)
            run_all(work, runs, executor=executor, lock=lock)
    _report_others(work, whole.other_settings)
    return Outcome(
        work=work,
        runs=runs,
        whole=whole.runs,
        out=out,
        metrics=grid.experiment.metrics,
        phantom=source.is_phantom,
        notes=[] if pool is None else [f"External pool: {pool.name}."],
        wandb=options.wandb,
    )


def _sources(options: Options, grid: Grid) -> tuple[Source, Pool | None, Source | None]:
    """Return the sources of the labelled data, of the external pool, and of the labels of the arm `supervised`."""
    experiment = grid.experiment
    phantom = (experiment.phantom, grid.preset.phantom)
    first, *others = options.data
    source = Source(first, options.downloads, experiment.label_kind, *phantom, more=tuple(map(Path, others)))
    pool = None if options.pool is None else Pool(options.pool, options.downloads)
    rival = None if options.source is None else Source(options.source, options.downloads, None, *phantom, seed=1)
    return source, pool, rival


def _with_own_spacing(options: Options, grid: Grid, source: Source, executor: Executor, drafts: Path) -> Grid:
    """Take spacing and crops that suit the data; in a dry run, by a preset in the folder of drafts."""
    if options.dry_run and source.is_absent:
        raise UserError(f"{source.folder}: is not here yet, and --spacing auto looks at it: leave out --dry-run")
    presets = options.out / "presets" / grid.experiment.figure / source.name
    if grid.encoder is not None:  # its crops are others
        presets /= grid.encoder.stem
    jobs = executor.jobs if isinstance(executor, Local) else None
    files = files_of(grid, options.figure)
    return with_own_spacing(grid, source.fetch(), presets, jobs, drafts if options.dry_run else None, files)


def _all_done(work: Path, runs: Sequence[Run]) -> bool:
    return all(is_done(work, run) for run in runs)


def _check_runs(runs: Sequence[Run], work: Path, inputs: Inputs, grid: Grid, seen: SeenData | None) -> None:
    """Check the settings of all runs, if there is one to do."""
    if _all_done(work, runs):
        return
    with importing():
        from sslmed.experiments.check import check_runs  # takes seconds
    check_runs(runs, work, inputs.dataset, inputs.images, inputs.labelled, grid.experiment.arms, seen)
    if seen is not None:
        check_sizes(runs, seen)


def _report_others(work: Path, others: Sequence[str]) -> None:
    if others:
        print(
            f"{work}: {len(others)} finished runs have other settings or data and are in no table or figure (e.g. "
            f"{others[0]}); a command for these arms, folds and labels does them again",
            file=sys.stderr,
        )


def _executor(options: Options) -> Executor:
    for name, count in (("jobs", options.jobs), ("devices", options.devices)):
        if count is not None and count < 1:
            raise UserError(f"{name} must be at least 1, got {count}")
    if options.executor == "slurm":
        return slurm(options.profile, options.jobs, options.devices)
    if options.profile is not None:
        raise UserError(f"--profile {options.profile} is about a cluster: give --executor slurm as well")
    check_devices(options.devices)
    return local(options.jobs, options.devices)


def _grid(options: Options) -> Grid:
    experiment = read_experiment(options.figure)
    folder = preset_folder(experiment.figure, options.preset)
    if options.auto_spacing and folder.name == "paper" and folder.is_relative_to(config_root()):
        raise UserError("--preset paper has the published sizes: leave out --spacing auto, or take --preset sound")
    preset = read_preset(folder)
    if options.arms is None:
        arms = [*experiment.default_arms, *null_arms(preset.null_arms)]
    else:
        arms = expand_groups(experiment, options.arms)
    if options.arms is None and options.pool is not None:
        arms += [f"{arm}{EXTERNAL}" for arm in arms if Arm.parse(arm).is_pretrained]
    if options.arms is None and options.source is not None:
        arms.append(SUPERVISED)
    experiment, arms = add_arms(experiment, arms)
    _require_images(arms, options)
    if options.pool is not None and not any(Arm.parse(arm).external for arm in arms):
        raise UserError(f"--pool {options.pool[0]}: no arm is pretrained on it; add some, e.g. rotation{EXTERNAL}")
    if options.balanced_pools and len(options.pool or ()) < 2:
        raise UserError("--balanced-pools is for several pools: give them as --pool A B, or leave it out")
    if options.source is not None and not any(Arm.parse(arm).is_supervised for arm in arms):
        raise UserError(f"--source {options.source}: no arm is pretrained on it; add {SUPERVISED}")
    grid = Grid(
        experiment=experiment,
        preset=preset,
        preset_folder=folder,
        arms=tuple(Arm.parse(arm).name for arm in arms),
        labels=label_amounts(options.fractions, options.labels) or preset.label_amounts or experiment.label_amounts,
        folds=tuple(preset.folds if options.folds is None else options.folds),
        seeds=tuple(preset.seeds if options.seeds is None else options.seeds),
        encoder=None if options.encoder is None else find_encoder(options.encoder),
        finetuning=options.finetuning,
        balanced_pools=options.balanced_pools,
    )
    if is_too_narrow(preset.n_folds, len(grid.folds)) and not options.final:
        print(MANY_FOLDS, file=sys.stderr)
    for path, meant in grid.left_out.items():
        print(f"{path}: is ignored, as it is for {meant} and the encoder is another one", file=sys.stderr)
    return grid


def _require_images(arms: Sequence[str], options: Options) -> None:
    """Check that there is what arms are pretrained on."""
    for arm in map(Arm.parse, arms):
        if arm.external and options.pool is None:
            raise UserError(f"{arm.name} is pretrained on an external pool: give it by --pool")
        if arm.is_supervised and options.source is None:
            raise UserError(f"{arm.name} is pretrained on the labels of another dataset: give it by --source")


def _say_what_quick_is_for(grid: Grid, source: Source, spatial_dims: int) -> None:
    if grid.preset_folder.name != "quick" or not grid.preset_folder.is_relative_to(config_root()) or source.is_public:
        return
    size, form = grid.prepare_settings(spatial_dims).size, {2: "² pixels", 3: "³ voxels"}[spatial_dims]
    other = "--spacing auto, which keeps volumes whole, or " if spatial_dims == 3 else ""
    print(f"quick is for demonstrations: it reduces images to {size}{form}; try {other}--preset sound", file=sys.stderr)
