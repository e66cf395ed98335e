"""The commands that do one run of an experiment by hand, in any shell and folder."""

import shlex
import sys
from dataclasses import fields

from sslmed.experiments.arms import Arm
from sslmed.experiments.grid import Grid
from sslmed.experiments.inputs import Inputs
from sslmed.experiments.places import Places
from sslmed.experiments.runs import Run
from sslmed.experiments.seen import SeenData
from sslmed.experiments.sources import Pool, Source
from sslmed.preparation.settings import PrepareSettings

SSLMED = [sys.executable, "-m", "sslmed"]


def commands(run: Run, inputs: Inputs, places: Places, seen: SeenData, grid: Grid) -> list[str]:
    """Return the commands that do a run in a shell, preparing its images first if necessary."""
    lines, arm, is_pretraining = [], Arm.parse(run.arm), run.labels is None
    data: Source | Pool | None = inputs.data
    if is_pretraining and not arm.sees_the_dataset:
        data = inputs.source if arm.is_supervised else inputs.pool
    store = seen.store_of(arm, pretraining=is_pretraining)
    if data is not None and store is not None and (store.unprepared or not (store.root / "store.json").is_file()):
        command = [*SSLMED, "prepare", *(str(each.absolute()) for each in data.folders), "--store", str(store.root)]
        command += _options(grid.prepare_settings(places.spatial_dims))
        labels = [] if data is inputs.source else ["--task", grid.experiment.task]
        lines.append(shlex.join([*command, *(["--pool"] if data is inputs.pool else labels)]))
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
