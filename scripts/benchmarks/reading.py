"""Batches from the store, cold and warm, and the memory of training for data, against the number of cases."""

import ctypes
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks import phantoms, reference
from benchmarks.measure import MIB, Findings, return_free_memory, scaled, time_in_turn
from sslmed.data.batches import Draw
from sslmed.data.finetuning import SegmentationData
from sslmed.data.samples import Sample, StoreDataset, collate
from sslmed.preparation.store import Store

CASES = "memory with {} cases, {} workers"


@dataclass(frozen=True)
class Sizes:
    """Sides of the volumes in voxels, volumes per batch, repeats, and numbers of cases."""

    side: int = 128
    batch: int = 4
    repeats: int = 10
    cases: tuple[int, ...] = (28, 281)
    cases_in_memory: int = 8


SIZES = {"quick": Sizes(), "full": Sizes(repeats=30, cases=(28, 281, 2810), cases_in_memory=40)}


def measure(sizes: Sizes, folder: Path) -> Findings:
    """Read labelled batches; then pass over stores of many cases."""
    torch.set_num_threads(1)
    findings = Findings()
    store = phantoms.prepared(folder, sizes.side)
    _measure_speed(findings, store, sizes, folder)
    for cases in sizes.cases:
        repeated = phantoms.repeat_store(store, folder / f"cases-{cases}", cases)
        for workers in (0, 2):
            grown, images = _pass_memory(repeated, sizes.batch, workers)
            findings.add(CASES.format(cases, workers), grown / MIB, "MiB")
    per_case = _memory_of_reference(store, sizes.cases_in_memory)
    findings.add("reference: memory of a case", per_case / MIB, "MiB")
    findings.add(f"reference: memory of {sizes.cases[-1]} cases", sizes.cases[-1] * per_case / MIB, "MiB")
    findings.remark(
        f"memory: what the process and its loader's workers hold beyond what they held before the data module was "
        f"built, at most, after any batch of a pass over {images} volumes of {sizes.side}³ with labels; pages of the "
        f"store that are mapped count; the reference's memory was measured with {sizes.cases_in_memory} cases"
    )
    return findings


def _measure_speed(findings: Findings, store: Store, sizes: Sizes, folder: Path) -> None:
    n_batches = sizes.repeats + 1
    distinct = phantoms.repeat_store(store, folder / "distinct", sizes.batch * n_batches, link=False)
    os.sync()  # only what is on the disk can be dropped from memory
    batches = np.array(distinct.cases).reshape(n_batches, sizes.batch).tolist()
    loaded = reference.load([_folder(distinct, case) for case in batches[0]], distinct.num_classes)
    taken = time_in_turn(
        {
            "warm": lambda: read(distinct, batches[0]),
            "reference": lambda: [torch.stack([torch.from_numpy(array) for array in arrays]) for arrays in loaded],
        },
        repeats=sizes.repeats,
    )
    findings.add("batch from the store, warm", scaled(1000, taken["warm"]), "ms")
    findings.add("reference: batch from lists in memory", scaled(1000, taken["reference"]), "ms")
    if all(drop_from_memory(file) for case in distinct.cases for file in _folder(distinct, case).iterdir()):
        cold = iter(batches)
        seconds = time_in_turn({"cold": lambda: read(distinct, next(cold))}, repeats=sizes.repeats)["cold"]
        findings.add("batch from the store, cold", scaled(1000, seconds), "ms")
    else:
        findings.remark("cold batches: not possible here, the system keeps the files in memory")
    n_bytes = sum(tensor.nbytes for tensor in read(distinct, batches[0]).values() if torch.is_tensor(tensor))
    findings.remark(f"a batch is {sizes.batch} volumes of {sizes.side}³ with labels, {n_bytes / MIB:.0f} MiB; 1 thread")


def read(store: Store, cases: Sequence[str]) -> Sample:
    """Read a batch as the loader does."""
    dataset = StoreDataset(store, cases, label="map")
    return collate([dataset[Draw(index)] for index in range(len(cases))])


def _folder(store: Store, case: str) -> Path:
    return store.root / "cases" / case


def drop_from_memory(file: Path) -> bool:
    """Ask the system to drop a file from its cache; return whether it did."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with file.open("r+b") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(opened.fileno(), 0) as mapped:
            buffer = (ctypes.c_char * len(mapped)).from_buffer(mapped)
            resident = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
            failed = ctypes.CDLL(None).mincore(ctypes.byref(buffer), ctypes.c_size_t(len(mapped)), resident)
            del buffer  # or the map could not be closed
    return not failed and not any(page & 1 for page in resident)


def _pass_memory(store: Store, batch_size: int, workers: int) -> tuple[int, int]:
    """Measure the additional memory in bytes of a pass over training and validation cases, and count its volumes."""
    return_free_memory()
    before = _held()
    data = SegmentationData(store.root, batch_size=batch_size, updates=1, validations=1, num_workers=workers)
    data.updates = len(data.training_cases) // batch_size
    most = volumes = 0
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            volumes += len(batch["image"])
            most = max(most, _held())
    return most - before, volumes


def _held() -> int:
    """Measure the memory of this process and its children. Shared pages are divided among processes."""
    process = psutil.Process()
    infos = [each.memory_full_info() for each in (process, *process.children(recursive=True))]
    return sum(getattr(info, "pss", info.uss) for info in infos)


def _memory_of_reference(store: Store, cases: int) -> float:
    return_free_memory()
    before = _held()
    held = reference.load([_folder(store, store.cases[0])] * cases, store.num_classes)
    return_free_memory()
    grown = _held() - before
    del held
    return grown / cases
