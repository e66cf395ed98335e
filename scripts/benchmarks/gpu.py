"""On a GPU: volumes per second against the reference, the best batch size, and how long the GPU waits for data."""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import torch

from benchmarks import phantoms
from benchmarks.measure import Findings, per, ratios, scaled, time_in_turn
from benchmarks.rates import synchronise
from benchmarks.training import SEGMENTATION, Way, Work, our_step, our_update, reference_step
from sslmed.data.finetuning import SegmentationData
from sslmed.experiments.configs import config_root
from sslmed.learning.captured import WARM_UP
from sslmed.preparation.store import Store
from sslmed.training.lightning_cli import main

WAY = Way("bf16")
REPLAYED = Way("bf16", captured=True)
LARGE = (WAY, REPLAYED)
COMPILED = (Way("bf16", compiled=True), Way("bf16", compiled=True, captured=True))  # takes a minute
SMALL = (Way(), WAY, Way(captured=True), Way("bf16", captured=True))
PLACES: dict[str, dict[str, float]] = {
    "data on the GPU": {"device_memory": 0.5},
    "2 workers": {"device_memory": 0.0, "num_workers": 2},
    "0 workers": {"device_memory": 0.0},
}
"""Place of training images, and their reader -> options of the data."""


@dataclass(frozen=True)
class Sizes:
    """Sets what is timed on a GPU.

    Attributes:
        side: Of the volumes, in voxels.
        small_side: Of volumes so small that the GPU waits for Python.
        batches: Batch sizes to try.
        updates: How many are timed at most,
        seconds: or fewer, once this much time has passed.
        ways: Of a step on large volumes.
    """

    side: int = 128
    small_side: int = 48
    batches: tuple[int, ...] = (2, 8, 16)
    updates: int = 20
    seconds: float = 2
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    ways: tuple[Way, ...] = LARGE


SIZES = {
    "quick": Sizes(),
    "full": Sizes(batches=(1, 2, 4, 8, 16, 32), updates=200, seconds=10, ways=(*LARGE, *COMPILED)),
}


def measure(sizes: Sizes, folder: Path) -> Findings:
    """Compare with the reference; try batch sizes up to the GPU's memory; then train from a store."""
    findings = Findings()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    warnings.filterwarnings("ignore", ".*self.log.*")  # there is no trainer
    for task in (SEGMENTATION, "rotation", "exemplar"):  # patches of others are too small for this network
        _over_the_reference(findings, Work(task, sizes.small_side, 4, sizes.widths), SMALL, sizes, device)
    _train(findings, sizes, folder)
    _over_the_reference(findings, Work(SEGMENTATION, sizes.side, 2, sizes.widths), sizes.ways, sizes, device)
    store = phantoms.repeat_store(phantoms.prepared(folder, sizes.side), folder / "cases", 100)
    for place, options in PLACES.items():
        idle = idle_fraction(store, sizes, 2, options, device)
        findings.add(f"{SEGMENTATION}: GPU idle, {place}", 100 * idle, "%")
    _try_batches(findings, SEGMENTATION, sizes, device)
    findings.remark(
        f"{sizes.side}³, {WAY.name}; idle: what an update from the store takes longer than one on a batch that is on "
        "the GPU already, of the former; batches of 2"
    )
    return findings


def _train(findings: Findings, sizes: Sizes, folder: Path) -> None:
    """Train small networks by the command itself, with and without replaying steps."""
    store = phantoms.repeat_store(phantoms.prepared(folder / "small", sizes.small_side), folder / "small" / "cases", 50)
    for choice in ("false", "auto"):
        run = folder / f"graphs-{choice}"
        files = ("base", "data/segmentation", "downstream/segmentation", "encoder/unet")
        options = [argument for file in files for argument in ("-c", str(config_root() / f"{file}.yaml"))]
        options += ["--trainer.precision", "bf16-mixed", "--trainer.enable_progress_bar", "false"]
        options += ["--data.batch_size", "4", "--data.updates", str(20 * sizes.updates), "--data.validations", "4"]
        main(["fit", *options, "--data.store", str(store.root), "--run_dir", str(run), "--cuda_graphs", choice])
        rows = pd.read_csv(run / "metrics.csv")
        spent = rows[["update", "seconds"]].iloc[-1] - rows[["update", "seconds"]].iloc[0]
        title = f"sslmed fit, {SEGMENTATION} {sizes.small_side}³, batches of 4, {WAY.name}, --cuda_graphs {choice}"
        findings.add(title, 1000 * spent["seconds"] / spent["update"], "ms")


def _over_the_reference(
    findings: Findings, work: Work, ways: Sequence[Way], sizes: Sizes, device: torch.device
) -> None:
    steps = {"reference": reference_step(work, device)}
    steps |= {way.name: our_step(work, way, device) for way in ways if device.type == "cuda" or not way.captured}
    for _ in range(WARM_UP):
        for step in steps.values():
            step()
    taken = time_in_turn(steps, repeats=sizes.updates, seconds=sizes.seconds)
    title = f"{work.task} {work.side}³, batches of {work.batch}"
    for name, seconds in taken.items():
        findings.add(f"{title}: {name}", scaled(1000, seconds), "ms")
        if name != "reference":
            findings.add(f"{title}: {name} over the reference", ratios(taken["reference"], seconds), "x")


def _try_batches(findings: Findings, task: str, sizes: Sizes, device: torch.device) -> None:
    best: dict[str, tuple[float, int]] = {}
    for batch in sizes.batches:
        work = Work(task, sizes.side, batch, sizes.widths)
        for name, build in {"reference": reference_step, REPLAYED.name: partial(our_step, way=REPLAYED)}.items():
            try:
                step = build(work, device=device)
                taken = time_in_turn({name: step}, repeats=sizes.updates, seconds=sizes.seconds)[name]
            except (torch.cuda.OutOfMemoryError, ValueError):  # a batch norm cannot train on one case
                continue
            findings.add(f"{task}: batches of {batch}, {name}", per(batch, taken), "volumes/s")
            best[name] = max(best.get(name, (0.0, 0)), (findings.results[-1].median, batch))
    for name, (_, batch) in best.items():
        findings.add(f"{task}: best batch size, {name}", batch, "volumes")
    if len(best) > 1:
        ratio = best[REPLAYED.name][0] / best["reference"][0]
        findings.add(f"{task}: best rate over that of the reference", ratio, "x")


def idle_fraction(
    store: Store, sizes: Sizes, batch_size: int, options: dict[str, float], device: torch.device
) -> float:
    """Fraction of an update during which the device waits for the loader."""
    data = SegmentationData(store.root, batch_size=batch_size, updates=5 * sizes.updates, validations=1, **options)
    data.trainer = SimpleNamespace(global_step=0, strategy=SimpleNamespace(root_device=device))  # type: ignore[assignment]
    update = our_update(Work(SEGMENTATION, sizes.side, batch_size, sizes.widths), WAY, device)
    batches = (data.transfer_batch_to_device(batch, device, 0) for batch in data.train_dataloader())
    resident = next(batches)
    for batch in islice(batches, 2 * sizes.updates):  # by then, images that are kept on the GPU are there
        update(batch)
    from_store = _seconds(update, batches, sizes.updates, device)
    return max(0.0, 1 - _seconds(update, repeat(resident), sizes.updates, device) / from_store)


def _seconds(
    update: Callable[[dict[str, Any]], Any], batches: Iterable[dict[str, Any]], updates: int, device: torch.device
) -> float:
    """Time updates without waiting for each, as training does; the first ones do not count."""
    iterator = iter(batches)
    for batch in islice(iterator, updates // 4):
        update(batch)
    synchronise(device)
    start = time.perf_counter()
    for batch in islice(iterator, updates):
        update(batch)
    synchronise(device)
    return time.perf_counter() - start
