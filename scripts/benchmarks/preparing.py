"""`sslmed prepare` on CTs: cases per second and core, memory of a worker, agreement with an anti-aliased reference."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

from benchmarks import phantoms, reference
from benchmarks.measure import MIB, Findings, Function, memory_of, per
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Sizes:
    """Voxels of a CT, side of the cube, and cases per worker (at least 3)."""

    ct: tuple[int, int, int] = (512, 512, 40)
    side: int = 128
    cases: int = 4
    reference_cases: int = 2


SIZES = {"quick": Sizes(), "full": Sizes(ct=(512, 512, 100), cases=8, reference_cases=4)}


def measure(sizes: Sizes, folder: Path) -> Findings:
    """Prepare copies of one phantom in this process and with 2 workers, and by the reference."""
    findings = Findings()
    settings = PrepareSettings(size=sizes.side)
    phantom = phantoms.draw(folder / "phantom", sizes.ct)
    one = phantoms.repeat_dataset(phantom, folder / "one", sizes.cases)
    two = phantoms.repeat_dataset(phantom, folder / "two", 2 * sizes.cases)
    prepare(phantom, folder / "warm-up", settings, jobs=2)  # starts the server that workers are forked from

    by_one = prepare(one, folder / "store-one", settings, jobs=1)
    with _peak_of_workers() as peak:
        by_two = prepare(two, folder / "store-two", settings, jobs=2)
    (case, *_) = read(one).cases
    with _peak_of_workers() as reference_peak:
        reference_seconds = _run_reference(case, sizes, settings, folder)

    seconds = np.diff(_finished(by_one)).tolist()
    findings.add("cases per second and core", per(1, seconds), "1/s")
    findings.add("reference: cases per second and core", per(1, reference_seconds), "1/s")
    quotients = [slow / fast for slow in reference_seconds for fast in seconds]
    findings.add("speed over the reference", quotients, "x")
    findings.add("speed of 2 workers over 1", _rate(by_two, 2) / _rate(by_one, 1), "x")
    if peak and reference_peak:
        findings.add("peak memory of a worker", max(peak) / MIB, "MiB")
        findings.add("reference: peak memory", max(reference_peak) / MIB, "MiB")
    _compare(findings, by_one, folder / f"reference-{sizes.reference_cases}")
    findings.remark(
        f"a labelled CT of {'x'.join(map(str, sizes.ct))}, compressed, to {sizes.side}³, files in memory; seconds of a "
        "case are from one finished case to the next, so that starting a worker does not count; peak memory is all a "
        "process holds, libraries included"
    )
    return findings


def _seconds(function: Function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _finished(store: Store) -> list[float]:
    return sorted((case / "case.json").stat().st_mtime for case in (store.root / "cases").iterdir())


def _rate(store: Store, workers: int) -> float:
    """Return the cases per second once each worker has done its first."""
    finished = _finished(store)[workers - 1 :]
    return (len(finished) - 1) / (finished[-1] - finished[0])


def _run_reference(case: Case, sizes: Sizes, settings: PrepareSettings, folder: Path) -> list[float]:
    """Prepare one case a few times in a process of its own; the first does not count."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        outs = [folder / f"reference-{number}" for number in range(sizes.reference_cases + 1)]
        return [executor.submit(time_reference, case, out, settings).result() for out in outs][1:]


def time_reference(case: Case, out: Path, settings: PrepareSettings) -> float:
    """Measure the seconds of the reference for a labelled case."""
    return _seconds(partial(reference.prepare_case, case.files, out, settings))


@contextmanager
def _peak_of_workers() -> Iterator[list[int]]:
    """Watch new child processes; at the end, the list has the peak memory of each, if the system reports it."""
    old = {process.pid for process in psutil.Process().children(recursive=True)}
    peaks: dict[int, int] = {}
    found: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(POLL_SECONDS):
            for process in psutil.Process().children(recursive=True):
                with suppress(OSError, StopIteration):  # it has ended, or this is not Linux
                    peaks[process.pid] = 0 if process.pid in old else memory_of(process.pid, "VmHWM")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()
        found += peaks.values()


def _compare(findings: Findings, store: Store, expected: Path) -> None:
    """Compare sslmed's arrays with those of the reference."""
    case = store.cases[0]
    error = np.abs(store.image(case).astype(np.float32) - np.load(expected / "image.npy"))
    findings.add("images: mean difference from the reference", error.mean(), "of [0, 1]")
    findings.add("images: largest difference from the reference", error.max(), "of [0, 1]")
    label, truth = store.label(case), np.load(expected / "label.npy")
    for index, name in enumerate(store.label_names.values()):
        found, wanted = label == index, truth == index
        if index and wanted.any():
            dice = 2 * (found & wanted).sum() / (found.sum() + wanted.sum())
            findings.add(f"labels: Dice of {name} with the reference", dice, "")
