"""`make_task` of every pretext task: beside a copy of its output, and beside volume after volume in numpy."""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import reference_tasks
from benchmarks.measure import Findings, Function, ratios, scaled, time_in_turn
from benchmarks.reference import Volume
from sslmed import pretext
from sslmed.core.memory import keep_freed_memory
from sslmed.encoders import UNetEncoder

NAMES = {
    "rotation": pretext.Rotation,
    "jigsaw": pretext.Jigsaw,
    "rpl": pretext.RelativePatchLocation,
    "exemplar": pretext.Exemplar,
    "cpc": pretext.CPC,
}
"""Tasks of the paper: those that have a reference."""

LATER = {
    "mae": pretext.MaskedAutoencoder,
    "simclr": pretext.SimCLR,
    "vicreg": pretext.VICReg,
    "dino": pretext.DINO,
    "genesis": pretext.ModelsGenesis,
    "voco": pretext.VoCo,
    "joint": pretext.Joint,
    "multilevel": pretext.MultiLevel,
}


@dataclass(frozen=True)
class Sizes:
    """Sides of the volumes in voxels, volumes per batch, and how long one task is repeated."""

    side: int = 128
    batch: int = 4
    repeats: int = 15
    seconds: float = 4
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)


SIZES = {"quick": Sizes(), "full": Sizes(repeats=30, seconds=60)}


def measure(sizes: Sizes, folder: Path) -> Findings:  # noqa: ARG001 - other sections write files
    """Time all tasks, each in turn with a copy and with the reference."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as every run does
    findings = Findings()
    images = torch.rand(sizes.batch, 1, *(sizes.side,) * 3, generator=torch.Generator().manual_seed(0)).half()
    volumes = [*images.float().numpy()]
    rng = np.random.default_rng(0)
    for name in NAMES:
        task = build(name, sizes.widths)
        inputs, _ = task.make_task(images)
        taken = time_in_turn(
            {
                "make_task": _seeded(partial(task.make_task, images)),
                "a copy": inputs.clone,
                "reference": _seeded(partial(reference_tasks.TASKS[name], task, volumes, rng)),
            },
            repeats=sizes.repeats,
            seconds=sizes.seconds,
        )
        for way, seconds in taken.items():
            findings.add(f"{name}: {way}", scaled(1000 / sizes.batch, seconds), "ms/volume")
        findings.add(f"{name}: make_task over a copy", ratios(taken["make_task"], taken["a copy"]), "x")
        findings.add(f"{name}: reference over make_task", ratios(taken["reference"], taken["make_task"]), "x")
        findings.add(f"{name}: largest difference from the reference", _difference(task, images), "of [0, 1]")
    findings.remark(
        f"{sizes.batch} volumes of {sizes.side}³, float16 as the store has them (reference: float32), 1 thread; "
        "a copy is a clone of the output, which is as many bytes as rotation and jigsaw must read and write; "
        "freed memory is kept, as in every run"
    )
    return findings


def _seeded(function: Function) -> Function:
    """Seed the n-th call by n: some augmentations cost more than others, and both ways must sample the same."""
    calls = itertools.count()

    def call() -> object:
        torch.manual_seed(next(calls))
        return function()

    return call


def build(name: str, widths: tuple[int, ...], dropout: float = 0.5) -> Any:  # noqa: ANN401 - tasks differ in targets
    """Build a task on the paper's encoder, or one with other widths; the same weights at every call."""
    torch.manual_seed(0)
    return (NAMES | LATER)[name](UNetEncoder(3, 1, widths=widths, dropout=dropout))


def _difference(task: Any, images: Tensor) -> float:  # noqa: ANN401
    """Compute the largest difference between a batch and that of the reference with the same random numbers."""
    volumes = [*images.float().numpy()]
    if isinstance(task, pretext.Exemplar):
        images, volumes = images[:2], volumes[:2]  # of two, the negative is the other
        expected = _triplets(task, volumes)
        inputs = task.make_task(images)[0]
    else:
        inputs, targets = task.make_task(images, _generator())
        if isinstance(task, pretext.Rotation):
            expected = [reference_tasks.turn(*pair) for pair in zip(volumes, targets.tolist(), strict=True)]
        else:
            expected = _patches(task, volumes, inputs)
    return float(np.abs(inputs.float().numpy() - np.stack(expected)).max())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _patches(task: Any, volumes: list[Volume], inputs: Tensor) -> list[np.ndarray]:  # noqa: ANN401
    """Cut the patches that a task has cut. A volume of coordinates, with the same random numbers, gives positions."""
    sides = volumes[0].shape[1:]
    grid = torch.meshgrid(*(torch.arange(side).half() for side in sides), indexing="ij")
    seen = torch.stack(
        [task.make_task(axis.expand(len(volumes), 1, *sides), _generator())[0] for axis in grid], dim=-1
    )  # (B, P, 1, *patch, 3)
    origins = seen.flatten(2, -2).amin(2).int()
    flipped = seen[:, :, 0, 0, 0, 0, 0] > origins[..., 0]
    return [
        np.stack(
            [
                patch[:, ::-1] if flip else patch
                for origin, flip in zip(places, flips, strict=True)
                for patch in [reference_tasks.cut(volume, origin.tolist(), inputs.shape[-3:])]
            ]
        )
        for volume, places, flips in zip(volumes, origins, flipped, strict=True)
    ]


@dataclass(frozen=True)
class Fixed:
    """Replaces a random transform by one with known parameters."""

    values: Any

    def sample(self, *_: object) -> Any:  # noqa: ANN401
        """Return the parameters."""
        return self.values


def _triplets(task: pretext.Exemplar, volumes: list[Volume]) -> list[np.ndarray]:
    """Sample an augmentation for each volume, make the task use the same, and apply it by the reference."""
    matrices = task.affine.sample(len(volumes), 3, torch.device("cpu"), _generator())
    shifts, factors = task.intensity.sample(len(volumes), torch.device("cpu"), _generator())
    task.affine, task.intensity = Fixed(matrices), Fixed((shifts, factors))  # type: ignore[assignment]
    draws = zip(matrices.double().numpy(), shifts.tolist(), factors.tolist(), strict=True)
    anchors = [reference_tasks.augment(volume, *draw) for volume, draw in zip(volumes, draws, strict=True)]
    return [
        np.stack([anchor, volume, other]) for anchor, volume, other in zip(anchors, volumes, volumes[::-1], strict=True)
    ]
