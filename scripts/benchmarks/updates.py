"""One update of every pretext task and of a segmentation, in turn, as multiples of one of rotation."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import tasks
from benchmarks.measure import Findings, ratios, scaled, time_in_turn
from benchmarks.training import SEGMENTATION, Way, Work, our_step
from sslmed.core.memory import keep_freed_memory

UNIT = "rotation"


@dataclass(frozen=True)
class Sizes:
    """Sides of the volumes in voxels, filters of the network, and how often and how long all are repeated."""

    side: int
    widths: tuple[int, ...]
    repeats: int
    seconds: float


SIZES = {
    "quick": Sizes(24, (8, 16, 32), repeats=15, seconds=30),
    "full": Sizes(96, (16, 32, 64, 128, 256), repeats=5, seconds=300),
}


def measure(sizes: Sizes, folder: Path) -> Findings:  # noqa: ARG001 - other sections write files
    """Time an update of each task, all in turn, with four volumes."""
    warnings.filterwarnings("ignore", ".*self.log.*")  # there is no trainer
    torch.set_num_threads(1)
    keep_freed_memory()  # as every run does
    device = torch.device("cpu")
    names = (*tasks.NAMES, *tasks.LATER, SEGMENTATION)
    steps = {name: our_step(Work(name, sizes.side, 4, sizes.widths, dropout=0.0), Way(), device) for name in names}
    taken = time_in_turn(steps, repeats=sizes.repeats, seconds=sizes.seconds)
    findings = Findings()
    findings.add(UNIT, scaled(1000, taken[UNIT]), "ms")
    for name in names[1:]:
        findings.add(f"{name} over {UNIT}", ratios(taken[name], taken[UNIT]), "x")
    findings.remark(f"4 volumes of {sizes.side}³, {sizes.widths[0]} to {sizes.widths[-1]} filters, fp32, 1 thread")
    return findings
