"""The runs of a grid, with configuration and folder of each, as a pure function of the settings."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from sslmed.core.label_amount import LabelAmount
from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.experiments.arms import EXTERNAL, SLICES, Arm
from sslmed.experiments.configs import config_root
from sslmed.experiments.grid import Grid
from sslmed.experiments.own import own_code
from sslmed.experiments.places import LabelledSource, Places
from sslmed.experiments.runs import Run
from sslmed.experiments.seen import seen_in_finetuning
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS

NOT_RESULTS = ("wandb", "data.store", "probes")
"""Options that do not determine what a run learns."""


def plan_runs(
    grid: Grid, places: Places, *, dataset: str, wandb: str, devices: int = 1, probes: bool = False
) -> list[Run]:
    """List all runs, each pretraining run before the runs that start from it.

    Args:
        grid: Arms, labels, folds and seeds.
        places: Paths of the experiment.
        dataset: Name of the dataset in tables.
        wandb: `disabled`, `offline` or `online`.
        devices: GPUs, or processes on the CPU, per run.
        probes: Whether pretraining scores what features tell of the labels. External pools have none.
    """
    common = {
        "labels.figure": grid.experiment.figure,
        "labels.dataset": dataset,
        "labels.preset": grid.name,
        "wandb": wandb,
    }
    if devices > 1:
        common["trainer.devices"] = str(devices)
    if grid.preset.precision is not None:
        common["trainer.precision"] = {"auto": "32-true"}.get(grid.preset.precision, grid.preset.precision)
    runs = []
    for arm in map(Arm.parse, grid.arms):
        for fold in grid.folds:
            options = common | {"labels.arm": arm.name}
            if arm.is_supervised and places.source is not None:
                options["labels.source"] = places.source.name
            parent = None
            weights = grid.weights(arm)
            if weights is not None:
                options |= {"model.pretrained.checkpoint": str(weights), "labels.source": describe_file(weights)}
            elif arm.is_pretrained:
                probed = {"probes": "true"} if probes and grid.learns_from_the_dataset(arm) else {}
                parent = _pretraining_run(grid, places, arm, fold, options | probed)
                runs.append(parent)
            runs += [
                _finetuning_run(grid, places, arm, fold, seed, labels, parent, options)
                for seed in grid.seeds
                for labels in grid.labels
            ]
    return runs


def _pretraining_run(grid: Grid, places: Places, arm: Arm, fold: int, options: dict[str, str]) -> Run:
    place = _place(grid, arm, fold)
    # Pools and sources are the same for all folds. Pretraining is repeated, so that intervals include its noise.
    if arm.is_supervised and places.source is not None:
        options = options | {"data.store": str(places.source.store), "data.fold": str(fold), "data.testing": "false"}
        stage, overlays = _supervised_files(grid, places.source)
    elif arm.external:
        balanced = {"data.balanced": "true"} if grid.balanced_pools else {}
        options = options | {"data.store": str(places.pool), "data.fold": str(fold)} | balanced
        stage, overlays = ["data/pool.yaml", str(grid.experiment.arms[arm.pretext])], []
    else:
        options = options | _fold_options(grid, places, fold)
        stage, overlays = ["data/pretraining.yaml", str(grid.experiment.arms[arm.pretext])], []
    options |= {"seed_everything": "0"}
    configs = _configs(grid, places, arm, stage, [*overlays, "pretrain", arm.pretext])
    name = f"{place}/pretrain"
    # Several seeds wait for the pretraining, then run in parallel. A single seed continues in the same process, because
    # importing the libraries takes as long as a short run.
    job = name if len(grid.seeds) > 1 else place
    contents = [read_yaml(path) for path in configs]
    data = None
    if places.seen is not None:
        transductive = find_setting(contents, "data.transductive", False)
        data = places.seen.of_pretraining(arm, **_split(grid, fold, contents), transductive=transductive)
    identity = {"arm": arm.name, "fold": fold, "seed": None, "labels": None, "name": name, "job": job, "data": data}
    return _run(places, configs, contents, options, None, **identity)


def _finetuning_run(
    grid: Grid,
    places: Places,
    arm: Arm,
    fold: int,
    seed: int,
    labels: LabelAmount,
    parent: Run | None,
    options: dict[str, str],
) -> Run:
    place = _place(grid, arm, fold)
    options = options | _fold_options(grid, places, fold)
    amount, value = labels.option
    options |= {"seed_everything": str(seed), f"data.{amount}": value}
    if grid.final:
        options["select"] = "last"
    if grid.experiment.regions is not None:
        options["data.regions"] = grid.experiment.regions
    if arm.initial_weights:
        options["initial_weights"] = str(arm.initial_weights)
    if parent is not None:
        handover = "last" if grid.final else grid.preset.handover  # a final model has no cases to select by
        checkpoint = places.work / parent.name / "checkpoints" / f"{handover}.ckpt"
        options["model.pretrained.checkpoint"] = str(checkpoint)
    options |= _transfer_options(grid, arm, adapts_channels="labels.source" in options or arm.external)
    configs = _configs(grid, places, arm, grid.experiment.finetuning, ["finetune"])
    if parent is None and arm.is_pretrained:
        configs.append(config_root() / str(grid.experiment.arms[arm.pretext]))
    job = f"{place}/seed{seed}" if len(grid.seeds) > 1 else place
    name = f"{place}/seed{seed}/{labels.path}"
    contents = [read_yaml(path) for path in configs]
    data = None
    if places.seen is not None and (parent is None or parent.data is not None):
        pretraining = None if parent is None else parent.data
        split = _split(grid, fold, contents)
        data = seen_in_finetuning(places.seen.store, labels, **split, seed=seed, pretraining=pretraining)
    identity = {"arm": arm.name, "fold": fold, "seed": seed, "labels": labels, "name": name, "job": job, "data": data}
    return _run(places, configs, contents, options, parent, **identity)


def _transfer_options(grid: Grid, arm: Arm, *, adapts_channels: bool) -> dict[str, str]:
    """Return how fine-tuning uses the weights that it starts from."""
    how = {"frozen_fraction": "1", "unfreezing_fraction": "0"} if grid.finetuning == "frozen" else {}
    how |= {"adapt_channels": "true"} if adapts_channels else {}
    how |= {"load": "all"} if arm.hands_over_decoder else {}
    return {f"model.pretrained.{name}": value for name, value in how.items()}


def _place(grid: Grid, arm: Arm, fold: int) -> str:
    return f"{arm.name}/final" if grid.final else f"{arm.name}/fold{fold}"


def _split(grid: Grid, fold: int, contents: Sequence[object]) -> dict[str, Any]:
    """Return what decides on the cases of a run; see `split_store`."""
    split_seed = find_setting(contents, "data.split_seed", 0)
    return {"fold": fold, "n_folds": grid.preset.n_folds, "split_seed": split_seed, "final": grid.final}


def _supervised_files(grid: Grid, source: LabelledSource) -> tuple[list[str], list[str]]:
    """List YAML files and overlays of pretraining on labels: those of fine-tuning, if labels are of the same kind."""
    if source.labels == grid.experiment.label_kind:
        return grid.experiment.finetuning, ["finetune"]
    task = next(task for task, labels in LABELS_OF_TASKS.items() if labels == source.labels)
    return [f"data/{task}.yaml", f"downstream/{task}.yaml"], []


def _fold_options(grid: Grid, places: Places, fold: int) -> dict[str, str]:
    options = {"data.store": str(places.store), "data.fold": str(fold), "data.n_folds": str(grid.preset.n_folds)}
    return options | ({"data.final": "true"} if grid.final else {})


def _configs(grid: Grid, places: Places, arm: Arm, stage: Sequence[str], overlays: Sequence[str]) -> list[Path]:
    """List the YAML files of a run: those of the stage, then the preset's overlays, each followed by its variants."""
    slices = ["data/slices.yaml"] if arm.slices else []
    suffixes = [""] + [EXTERNAL] * arm.external + [SLICES] * (arm.slices or places.spatial_dims == 2)
    files = [config_root() / file for file in ("base.yaml", *stage, *slices)] + grid.encoder_files(suffixes)
    overlays = ("run", *overlays)
    return files + [path for name in overlays for suffix in suffixes for path in grid.overlay(f"{name}{suffix}.yaml")]


def _run(
    places: Places,
    configs: Sequence[Path],
    contents: Sequence[object],
    options: dict[str, str],
    parent: Run | None,
    **identity: Any,  # noqa: ANN401 - fields of Run
) -> Run:
    key = _fingerprint([*contents, *own_code(configs, contents)], options, parent)
    options = options | {"labels.key": key, "run_dir": str(places.work / identity["name"])}
    arguments = [argument for path in configs for argument in ("-c", str(path))]
    arguments += [argument for option, value in options.items() for argument in (f"--{option}", value)]
    needs = None if parent is None else parent.name
    devices = int(options.get("trainer.devices", 1))
    return Run(**identity, needs=needs, arguments=tuple(arguments), key=key, devices=devices)


def _fingerprint(contents: Sequence[Any], options: dict[str, str], parent: Run | None) -> str:
    """Hash all settings that determine a run's result. Comments and paths do not."""
    relevant = {name: value for name, value in options.items() if name not in NOT_RESULTS}
    checkpoint = "model.pretrained.checkpoint"
    relevant |= {checkpoint: Path(relevant[checkpoint]).name} if checkpoint in relevant else {}
    identity = json.dumps([[*contents], relevant, None if parent is None else parent.key], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


@lru_cache
def describe_file(path: Path) -> str:
    """Return the name of a file of weights, and 16 hexadecimal digits of the hash of its contents."""
    with path.open("rb") as file:
        return f"{path.name} (SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()[:16]})"
