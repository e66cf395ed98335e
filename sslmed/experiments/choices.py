"""What a command asks for: the executor, the grid of runs and the sources of data, from its options."""

import sys
from collections.abc import Sequence

from sslmed.core.errors import UserError
from sslmed.core.label_amount import label_amounts
from sslmed.experiments.arms import EXTERNAL, SUPERVISED, Arm, null_arms
from sslmed.experiments.configs import config_root
from sslmed.experiments.devices import check_devices
from sslmed.experiments.executors.local import Executor
from sslmed.experiments.executors.slurm import slurm
from sslmed.experiments.experiment import Experiment, read_experiment
from sslmed.experiments.filling import local
from sslmed.experiments.grid import Grid
from sslmed.experiments.options import Options
from sslmed.experiments.own import add_arms, expand_groups, find_encoder
from sslmed.experiments.preset import Preset, preset_folder, read_preset
from sslmed.experiments.sources import Pool, Source


def choose_executor(options: Options) -> Executor:
    """Return what runs the jobs.

    Raises:
        UserError: If an option is not valid, or there are too few devices.
    """
    if options.executor == "slurm":
        return slurm(options.profile, options.jobs, options.devices, dry_run=options.dry_run)
    if options.profile is not None:
        raise UserError(f"--profile {options.profile} is about a cluster: give --executor slurm as well")
    check_devices(options.devices)
    return local(options.jobs, options.devices)


def choose_grid(options: Options) -> Grid:
    """Return what the command compares.

    Raises:
        UserError: If a name is unknown, or options do not fit each other.
    """
    experiment = read_experiment(options.figure)
    folder = preset_folder(experiment.figure, options.preset)
    if options.auto_spacing and folder.name == "paper" and folder.is_relative_to(config_root()):
        raise UserError("--preset paper has the published sizes: leave out --spacing auto, or take --preset sound")
    preset = read_preset(folder)
    experiment, arms = add_arms(experiment, _arms(options, experiment, preset))
    _refuse_unused(options, arms)
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
    refuse_unused_probes(grid, options)
    for path, meant in grid.left_out.items():
        print(f"{path}: is ignored, as it is for {meant} and the encoder is another one", file=sys.stderr)
    return grid


def _arms(options: Options, experiment: Experiment, preset: Preset) -> list[str]:
    """List the arms to compare, by name or path."""
    if options.arms is not None:
        return expand_groups(experiment, options.arms)
    arms = [*experiment.default_arms, *null_arms(preset.null_arms)]
    if options.pool is not None:
        arms += [f"{arm}{EXTERNAL}" for arm in arms if Arm.parse(arm).is_pretrained]
    return arms if options.source is None else [*arms, SUPERVISED]


def _refuse_unused(options: Options, arms: Sequence[str]) -> None:
    """Refuse images that no arm uses, and arms whose images are not given."""
    require_images(arms, options)
    if options.pool is not None and not any(Arm.parse(arm).external for arm in arms):
        raise UserError(f"--pool {options.pool[0]}: no arm is pretrained on it; add some, e.g. rotation{EXTERNAL}")
    if options.balanced_pools and len(options.pool or ()) < 2:
        raise UserError("--balanced-pools is for several pools: give them as --pool A B, or leave it out")
    if options.source is not None and not any(Arm.parse(arm).is_supervised for arm in arms):
        raise UserError(f"--source {options.source}: no arm is pretrained on it; add {SUPERVISED}")


def refuse_unused_probes(grid: Grid, options: Options) -> None:
    """Refuse probes of pretraining where there is none to score.

    Raises:
        UserError: If no arm is pretrained on the dataset.
    """
    if options.probes and not any(grid.learns_from_the_dataset(Arm.parse(arm)) for arm in grid.arms):
        raise UserError("--probes: no arm is pretrained on the images of --data; name one that is, or leave it out")


def choose_sources(options: Options, grid: Grid) -> tuple[Source, Pool | None, Source | None]:
    """Return the sources of the labelled data, of the external pool, and of the labels of the arm `supervised`."""
    experiment = grid.experiment
    phantom = (experiment.phantom, grid.preset.phantom)
    first, *others = options.data
    data = Source(first, options.downloads, experiment.label_kind, *phantom, more=tuple(others))
    pool = None if options.pool is None else Pool(options.pool, options.downloads)
    source = None
    if options.source is not None:
        source = Source(options.source, options.downloads, None, *phantom, seed=1, option="--source")
    return data, pool, source


def require_images(arms: Sequence[str], options: Options) -> None:
    """Check that there is what arms are pretrained on.

    Raises:
        UserError: If an option is missing.
    """
    for arm in map(Arm.parse, arms):
        if arm.external and options.pool is None:
            raise UserError(f"{arm.name} is pretrained on an external pool: give it by --pool")
        if arm.is_supervised and options.source is None:
            raise UserError(f"{arm.name} is pretrained on the labels of another dataset: give it by --source")
