"""What an experiment was made with, as its first command wrote it: files of the user's own, and the precision.

Later commands, also on other machines, follow it, so that results of two experiments are never mixed.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.files import read_json, write_text
from sslmed.core.machine import computes_bf16
from sslmed.core.yaml_files import read_yaml
from sslmed.experiments.configs import config_root, is_yaml
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.grid import Grid
from sslmed.experiments.inputs import Inputs
from sslmed.experiments.own import own_code
from sslmed.experiments.places import Places
from sslmed.experiments.preset import Precision
from sslmed.experiments.runs import read_plan
from sslmed.preparation.preview import refuse_namesake

FILE = "origin.json"


def keep_origin(folder: Path, files: Mapping[str, str], precision: str | None = None) -> None:
    """Write what an experiment, or a preset that is made for it, comes from.

    Args:
        folder: The experiment's directory, or the preset's folder.
        files: Of `files_of`; those that earlier commands named stay.
        precision: Precision that the preset sets, if it does.
    """
    content = {"files": {**_read(folder).get("files", {}), **files}, "precision": precision}
    write_text(folder / FILE, json.dumps(content, indent=1) + "\n")


def files_of(grid: Grid, figure: str) -> dict[str, str]:
    """Return the files that give an experiment, and its runs, their names; sslmed's own relative to `configs/`."""
    files = {"preset": grid.preset_folder}
    files |= {} if grid.encoder is None else {"encoder": grid.encoder}
    files |= {"figure": Path(figure).resolve()} if is_yaml(figure) else {}
    files |= {f"arm {arm}": config_root() / file for arm, file in grid.experiment.arms.items() if file is not None}
    root = config_root()
    return {name: str(path.relative_to(root) if path.is_relative_to(root) else path) for name, path in files.items()}


def refuse_namesakes(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a file that has the name, but not the settings, of another one that an experiment was made with.

    A file that has only been moved, or edited, is the same: its runs are made anew where settings have changed.

    Raises:
        UserError: If there is one.
    """
    for name, before in _read(folder).get("files", {}).items():
        now, there = files.get(name, before), config_root() / before
        if now != before and there.exists() and _settings(there) != _settings(config_root() / now):
            raise UserError(
                f"{folder}: was made with the {name} in {there}, and {now} has the same name and other settings: "
                "rename it, or give other folders by --runs and --out"
            )


def refuse_other_data(inputs: Inputs, places: Places) -> None:
    """Refuse data that have the name of others that the experiment, or another with the same stores, was made with.

    Raises:
        UserError: If there are some.
    """
    plan = places.work / "plan.json"
    planned = [run for run in read_plan(plan) if run.labels is not None] if plan.is_file() else []
    earlier = {Path(store) for run in planned for store in run.values("--data.store")}
    if inputs.dataset is not None and not inputs.data.is_public:
        for store in sorted({places.store, *earlier}):
            refuse_namesake(inputs.dataset, store)
    if inputs.pool_dataset is not None and places.pool is not None:
        refuse_namesake(inputs.pool_dataset, places.pool)
    if (
        inputs.source_dataset is not None
        and places.source is not None
        and inputs.source
        and not inputs.source.is_public
    ):
        refuse_namesake(inputs.source_dataset, places.source.store)


def _settings(path: Path) -> dict[str, Any]:
    files = path.glob("*.yaml") if path.is_dir() else [path]
    contents = {file: read_yaml(file) for file in files}
    return {file.name: (content, own_code([file], [content])) for file, content in contents.items()}


def settle_precision(grid: Grid, work: Path, executor: Executor) -> Grid:
    """Replace a preset's precision `auto` by that of the experiment, or, in its first command, of this machine."""
    if grid.preset.precision != "auto":
        return grid
    here: Precision = "bf16-mixed" if _trains_on_cpu(executor) and computes_bf16() else "32-true"
    return replace(grid, preset=replace(grid.preset, precision=_read(work).get("precision") or here))


def say_if_precision_is_slow(grid: Grid, work: Path, executor: Executor) -> None:
    """Say that this machine's processor only emulates the precision of an experiment."""
    if grid.preset.precision == "bf16-mixed" and _trains_on_cpu(executor) and not computes_bf16():
        print(
            f"{work}: is trained in bf16-mixed, for which this processor has no instructions, so it takes many times "
            "longer: resume on one that has them, or set precision: 32-true in the preset.yaml",
            file=sys.stderr,
        )


def _trains_on_cpu(executor: Executor) -> bool:
    return isinstance(executor, Local) and not executor.gpus


def _read(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    return read_json(path) if path.is_file() else {}
