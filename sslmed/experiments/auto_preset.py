"""`--spacing auto`: a preset of the user's own, with spacing and crops chosen from the data and this machine."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from shutil import copyfile
from typing import Any

import yaml

from sslmed.core.errors import UserError
from sslmed.core.files import atomic_folder, read_json
from sslmed.core.machine import total_memory
from sslmed.core.startup import importing
from sslmed.core.yaml_files import read_yaml
from sslmed.experiments.arms import SLICES
from sslmed.experiments.devices import gpu_memory
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.grid import Grid
from sslmed.experiments.options import Options
from sslmed.experiments.origin import files_of, keep_origin, refuse_namesakes
from sslmed.experiments.preset import read_preset
from sslmed.experiments.sources import Source
from sslmed.preparation.fingerprint import Fingerprint, choose_crop, describe, measure, times
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.settings import preparation_differences

LARGEST = {True: 128**3, False: 48**3}
"""Most voxels of a crop with and without a GPU: nnU-Net's usual crop, and what a core trains on in minutes."""

SECONDS = ("pretrain_seconds", "finetune_seconds")
"""Estimates of a preset that grow with the voxels of an image and with what the encoder makes of each."""

MADE_FOR = "made-for.json"
"""File beside a preset: what determined it."""


def with_own_spacing(options: Options, grid: Grid, data: Source, executor: Executor, drafts: Path) -> Grid:
    """Replace the preset by one for these data. The first command writes it; later ones use it as it is.

    Args:
        options: Of the command.
        grid: What the command compares, with the preset to start from.
        data: Where the labelled data come from.
        executor: What runs the jobs; those on a machine without GPU share its memory.
        drafts: Where the preset goes in a dry run, if it is not there yet.

    Raises:
        UserError: If the images are photographs or not here yet, or there is a preset for other volumes, or from
            another preset.
    """
    if options.dry_run and data.is_absent:
        raise UserError(f"{data.folder}: is not here yet, and --spacing auto looks at it: leave out --dry-run")
    presets = options.out / "presets" / grid.experiment.figure / data.name
    if grid.encoder is not None:  # its crops are others
        presets /= grid.encoder.stem
    folder, files, dataset = presets / f"{grid.preset_folder.name}-auto", files_of(grid, options.figure), data.fetch()
    jobs = executor.jobs if isinstance(executor, Local) else None
    if folder.is_dir():
        refuse_namesakes(folder, files)
        _refuse_others(folder, _determinants(measure(dataset)), dataset)
        spacing = times(read_preset(folder).prepare.spacing)
        print(f"{folder}: is used as it is, with {spacing} mm; remove it, and it is chosen again", file=sys.stderr)
    elif options.dry_run:
        print(f"{folder}: will hold these settings")
        folder = drafts / folder.name
        _make(folder, grid, measure(dataset), jobs)
    else:
        _make(folder, grid, measure(dataset), jobs)
        keep_origin(folder, files)
        print(f"{folder}: holds these settings, to be edited and given as --preset {folder}")
    return replace(grid, preset=read_preset(folder), preset_folder=folder.resolve())


def _determinants(found: Fingerprint) -> dict[str, Any]:
    return {"spacing": [*found.spacing], "shape": [*found.shape]}


def _refuse_others(folder: Path, now: Mapping[str, Any], dataset: Dataset) -> None:
    """Refuse a preset for volumes of another spacing or size: of another dataset of this name, or before changes."""
    made_for = folder / MADE_FOR
    then = read_json(made_for) if made_for.is_file() else {}
    if differences := preparation_differences(then, now):
        raise UserError(
            f"{folder}: was made for other volumes than those of {dataset.root}: {', '.join(differences)}; "
            f"remove it, and it is chosen again, or give --preset {folder} to use it as it is"
        )


def _make(folder: Path, grid: Grid, found: Fingerprint, jobs: int | None) -> None:
    """Choose crops, say in a few lines what was found and chosen, and write the preset.

    Jobs are those side by side on this machine; `None` if they run on a cluster.
    """
    crop, costs, room = _choose(grid, found, jobs)
    of = "" if room is None else f" of {room / 2**30:.1f}"
    memory = f"{costs['memory_gib']:.1f}{of} GiB of memory for a job at most"
    words = [
        *describe(found),
        f"training: crops of {times(crop)} voxels ({memory}); smaller volumes are padded",
        "validation and test: whole volumes, by a sliding window",
    ]
    print("\n".join(words))
    content = read_yaml(grid.preset_folder / "preset.yaml")
    content["prepare"] |= {"geometry": "spacing", "spacing": [*found.spacing]}
    content["prepare"].pop("size", None)  # of cubes
    content["estimate"] |= costs
    comment = "".join(f"# {line}\n" for line in [f"Made from the preset {grid.preset_folder.name}.", *words])
    with atomic_folder(folder) as partial:
        (partial / MADE_FOR).write_text(json.dumps(_determinants(found)) + "\n")
        foreign = replace(grid, encoder=None).left_out  # overlays of another figure's encoder
        for path in {*grid.preset_folder.glob("*.yaml")}.difference(foreign):
            copyfile(path, partial / path.name)
        (partial / "preset.yaml").write_text(comment + yaml.safe_dump(content, sort_keys=False))
        for suffix, size in (("", crop), (SLICES, crop[:2])):
            path = partial / f"run{suffix}.yaml"
            settings: dict[str, Any] = read_yaml(path) if path.is_file() else {}
            data = settings.setdefault("data", {"init_args": {}})
            data.get("init_args", data)["crop_size"] = [*size]
            path.write_text(yaml.safe_dump(settings, sort_keys=False))


def _choose(grid: Grid, found: Fingerprint, jobs: int | None) -> tuple[Sequence[int], dict[str, float], float | None]:
    """Choose crops for the memory that a job has; return them, what runs on them cost, and that memory in bytes.

    On a cluster, whose memory is not known here, crops have as many voxels as the preset's volumes.
    """
    with importing():
        from sslmed.experiments.network import build_encoder, disk_of, memory_of  # takes seconds
    encoder = build_encoder(grid)
    usual_encoder = encoder if grid.encoder is None else build_encoder(replace(grid, encoder=None))
    memory, bytes_of_gpu = memory_of(grid, encoder), gpu_memory()
    usual = grid.preset.prepare.size**3  # voxels that the preset's estimate is for
    room = None if jobs is None else bytes_of_gpu or total_memory() / jobs
    fitting = usual if room is None else memory.voxels(room)
    most = min(fitting, LARGEST[jobs is None or bytes_of_gpu is not None])
    crop = choose_crop(found, voxels=most, reduction=encoder.reduction)
    longer = memory.slowness(prod(crop), memory_of(grid, usual_encoder), usual)
    costs = {name: round(getattr(grid.preset.estimate, name) * longer, 1) for name in SECONDS}
    costs["memory_gib"] = round(memory.of(prod(crop)) / 2**30, 1)
    costs["disk_mib"] = round(disk_of(grid, encoder, usual_encoder), 1)
    return crop, costs, room
