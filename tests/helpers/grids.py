"""Grids of a figure, and their plans, without data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commands import TINY

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.experiment import read_experiment
from sslmed.experiments.grid import Grid
from sslmed.experiments.own import add_arms
from sslmed.experiments.places import Places
from sslmed.experiments.plan import plan_runs
from sslmed.experiments.preset import read_preset
from sslmed.experiments.runs import Run

ALL = LabelAmount(fraction=1.0)


def grid_of(
    *arms: str,
    figure: str = "fig3",
    preset: Path = TINY,
    labels: Sequence[LabelAmount] = (ALL,),
    folds: Sequence[int] = (0,),
    seeds: Sequence[int] = (0,),
    **others: Any,
) -> Grid:
    """Arms of a figure, by name or by the path of a YAML, in the size of a preset; `others` are of `Grid`."""
    experiment, names = add_arms(read_experiment(figure), arms)
    chosen = tuple(names), tuple(labels), tuple(folds), tuple(seeds)
    return Grid(experiment, read_preset(preset), preset, *chosen, **others)


def plan(grid: Grid, places: Places) -> list[Run]:
    """All runs of a grid."""
    return plan_runs(grid, places, dataset="toy", wandb="disabled")
