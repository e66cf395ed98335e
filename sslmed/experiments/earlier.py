"""What earlier commands have finished: a command for a part of an experiment adds to it, and replaces nothing."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.arms import Arm
from sslmed.experiments.configs import config_root
from sslmed.experiments.experiment import Experiment, kept_experiment
from sslmed.experiments.finished import is_done
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import LabelledSource, Places
from sslmed.experiments.runs import Run, read_plan
from sslmed.preparation.store import Store

Value = TypeVar("Value")

RUN = re.compile(r"(?P<arm>[^/]+)/fold(?P<fold>\d+)/(?:pretrain|seed(?P<seed>\d+)/(?P<labels>n\d+|[\d.]+))")
"""Names of runs. Copies that a user has made beside them have others, and so have those that were set aside."""

Plan = Callable[[Grid, Places], list[Run]]
"""`plan_runs` with the command's other options."""


@dataclass(frozen=True)
class Whole:
    """Holds an experiment as far as it has been run.

    Attributes:
        runs: The command's runs, and those that earlier commands have finished with the same settings and data.
        experiment: The figure, with the arms of all of them.
        other_settings: Names of finished runs that have other settings or data, and are in no figure.
    """

    runs: Sequence[Run]
    experiment: Experiment
    other_settings: Sequence[str]


def with_earlier(grid: Grid, places: Places, runs: Sequence[Run], plan: Plan) -> Whole:
    """Add the finished runs of earlier commands to those of this one.

    They are planned anew, so that a run whose settings or data have changed since has another key and does not count.
    """
    if grid.final:
        return Whole(runs, grid.experiment, ())
    own = {run.name: run for run in runs}
    found = _finished(places.work) - own.keys()
    if not found:
        return Whole(runs, grid.experiment, ())
    grid, places = _with_earlier_images(grid, places)
    usable = {name for name in found if places.source or not Arm.parse(name.partition("/")[0]).is_supervised}
    wide = _widened(grid, places.work, usable)
    planned = [own.get(run.name, run) for run in plan(wide, places) if run.name in own or run.name in found]
    whole = [run for run in planned if run.name in own or is_done(places.work, run)]
    return Whole(whole, wide.experiment, sorted(found.difference(run.name for run in whole)))


def _finished(work: Path) -> set[str]:
    """Names of all runs of a directory that have results."""
    patterns = ("*/fold*/pretrain/results.json", "*/fold*/seed*/*/results.json")
    names = {path.parent.relative_to(work).as_posix() for pattern in patterns for path in work.glob(pattern)}
    return set(filter(RUN.fullmatch, names))


def _widened(grid: Grid, work: Path, names: Iterable[str]) -> Grid:
    """Extend a grid to the arms, folds, seeds and amounts of labels in names of runs, as far as they are known."""
    grid = with_earlier_arms(grid, work)
    parts = [match.groupdict() for match in map(RUN.fullmatch, names) if match is not None]
    finetuning = [part for part in parts if part["labels"] is not None]
    order = [*grid.experiment.arms]

    def rank(name: str) -> tuple[bool, bool, bool, int, str]:
        arm = Arm.parse(name)
        return arm.slices, arm.external, arm.is_null, order.index(arm.task) if arm.task in order else 0, name

    arms = {*grid.arms, *_valid({part["arm"] for part in parts}, lambda arm: replace(grid, arms=(arm,)))}
    folds = {*grid.folds, *_valid({int(part["fold"]) for part in parts}, lambda fold: replace(grid, folds=(fold,)))}
    seeds = {*grid.seeds, *(int(part["seed"]) for part in finetuning)}
    labels = {*grid.labels, *(LabelAmount.from_path(part["labels"]) for part in finetuning)}
    return replace(
        grid,
        arms=tuple(sorted(arms, key=rank)),
        folds=tuple(sorted(folds)),
        seeds=tuple(sorted(seeds)),
        labels=tuple(sorted(labels)),
    )


def with_earlier_arms(grid: Grid, work: Path) -> Grid:
    """Let a grid know the arms of earlier commands, as the user's own, if their files are still there."""
    if not (work / "experiment.json").is_file():
        return grid
    kept = kept_experiment(work, grid.experiment.figure).arms
    known = {arm: file for arm, file in kept.items() if file is None or (config_root() / file).is_file()}
    return replace(grid, experiment=replace(grid.experiment, arms=known | grid.experiment.arms))


def _valid(values: set[Value], use: Callable[[Value], Grid]) -> list[Value]:
    """Return the values that a grid takes: a preset may have had more folds, a figure other arms."""
    valid = []
    for value in values:
        try:
            use(value)
        except UserError:
            continue
        valid.append(value)
    return valid


def _with_earlier_images(grid: Grid, places: Places) -> tuple[Grid, Places]:
    """Add the external pool and the labelled dataset of earlier runs, for a command that does not name them.

    What they saw of a pool is compared only while its store is there. Without the store of the labelled dataset, which
    kind of labels it has is not known.
    """
    plan = places.work / "plan.json"
    runs = read_plan(plan) if plan.is_file() else []
    pretraining = [run for run in runs if run.labels is None]
    external = next((run for run in pretraining if Arm.parse(run.arm).external), None)
    if places.pool is None and external is not None:
        pool = Path(external.values("--data.store")[0])
        grid = replace(grid, balanced_pools=bool(external.values("--data.balanced")))
        places = replace(places, pool=pool, seen=places.seen and replace(places.seen, pool=_store(pool)))
    supervised = next((run for run in pretraining if Arm.parse(run.arm).is_supervised), None)
    if places.source is None and supervised is not None:
        store = _store(Path(supervised.values("--data.store")[0]))
        if store is not None:
            source = LabelledSource(supervised.values("--labels.source")[0], store.root, store.labels)
            places = replace(places, source=source, seen=places.seen and replace(places.seen, source=store))
    return grid, places


def _store(folder: Path) -> Store | None:
    return Store(folder) if (folder / "store.json").is_file() else None
