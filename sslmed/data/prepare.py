"""Turns a dataset into a store: in parallel, resumable after a kill at any moment, never leaving a partial file."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sslmed.data.decathlon import Case, Dataset, scan_dataset
from sslmed.data.geometry import Geometry
from sslmed.data.nifti import read_case
from sslmed.data.normalise import foreground_box, normalise
from sslmed.data.settings import VERSION, PrepareSettings
from sslmed.data.store import Store
from sslmed.data.workers import run_in_processes
from sslmed.errors import DataError, UserError
from sslmed.files import TEMPORARY, write_text

LARGEST_GRID = 2**30  # voxels; a grid beyond it is a wrong unit of spacing, not a scan

__all__ = ["PrepareSettings", "prepare"]


def prepare(data: Path, store: Path, settings: PrepareSettings, jobs: int | None = None) -> Store:
    """Check every case of `data`, and write its arrays to `store`; cases that are finished and unchanged are kept.

    A store holds `settings.json`, written first; `cases/<id>/`, each built in `partial/` and moved to its place whole;
    and `store.json`, written last. Nothing is written into `data`.

    Args:
        data: A folder in the layout of an MSD task.
        store: A folder that is new, empty, or was prepared from the same `dataset.json` with the same settings.
        settings: How to prepare.
        jobs: Number of processes; the usable cores by default.

    Raises:
        DataError: Files cannot be used; one line for each.
        UserError: `store` cannot be used.
    """
    dataset, problems = scan_dataset(data)
    if store.resolve().is_relative_to(data.resolve()):
        raise UserError(f"{store}: lies within the data folder, where nothing is written; give another folder")
    try:
        _claim(store, dataset, settings)
        with FileLock(store / ".lock"):
            problems += _prepare_cases(dataset, store, settings, jobs)
            if problems:
                raise DataError(problems)
            _finish(store, dataset, settings)
    except OSError as error:
        raise UserError(f"{store}: cannot be prepared ({error.strerror}: {error.filename})") from error
    return Store(store)


def _claim(store: Path, dataset: Dataset, settings: PrepareSettings) -> None:
    """Write down what the store is for, or refuse one that is for something else."""
    identity = {"version": VERSION, "dataset": dataset.digest, **asdict(settings)}
    identity = json.loads(json.dumps(identity))  # as it will be read
    path = store / "settings.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in identity if found.get(name) != identity[name]]
        differences = [f"{name} ({found.get(name)} there, {identity[name]} now)" for name in changed]
        if differences:
            raise UserError(f"{store}: was prepared otherwise: {', '.join(differences)}; give another folder")
        return
    # A kill while the file below was written leaves a temporary one.
    is_new = not store.exists() or (store.is_dir() and all(f.name.startswith(path.name) for f in store.iterdir()))
    if not is_new:
        raise UserError(f"{store}: exists and is not a store; give a new or an empty folder")
    store.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(identity, indent=1))


def _prepare_cases(dataset: Dataset, store: Path, settings: PrepareSettings, jobs: int | None) -> list[str]:
    """Prepare the cases that are not finished; return what is wrong with them."""
    partial_cases = store / "partial"
    shutil.rmtree(partial_cases, ignore_errors=True)  # of a run that was killed
    for leftover in store.glob(f"*{TEMPORARY}"):
        leftover.unlink()
    to_do = [case for case in dataset.cases if not _is_done(case, store)]
    if to_do:
        (store / "store.json").unlink(missing_ok=True)
    (store / "cases").mkdir(exist_ok=True)
    partial_cases.mkdir()
    try:
        function = partial(_prepare_case, dataset.modalities, tuple(dataset.label_names), settings, store)
        results = run_in_processes(function, to_do, description="preparing", jobs=jobs)
    finally:
        shutil.rmtree(partial_cases)
    return [problem for problems in results for problem in problems]


def _finish(store: Path, dataset: Dataset, settings: PrepareSettings) -> None:
    summary = {
        "version": VERSION,
        "name": dataset.name,
        "settings": asdict(settings),
        "modalities": dataset.modalities,
        "labels": dataset.label_names,
        "labelled": [case.id for case in dataset.cases if case.label is not None],
        "unlabelled": [case.id for case in dataset.cases if case.label is None],
    }
    write_text(store / "store.json", json.dumps(summary, indent=1, ensure_ascii=False))


def _is_done(case: Case, store: Path) -> bool:
    path = store / "cases" / case.id / "case.json"
    if not path.is_file():
        return False
    source: list[list[int]] = json.loads(path.read_text(encoding="utf-8"))["source"]
    return source == _fingerprint(case)


def _fingerprint(case: Case) -> list[list[int]]:
    files = [path.stat() for path in (case.image, case.label) if path is not None]
    return [[file.st_size, file.st_mtime_ns] for file in files]


def _prepare_case(
    modalities: Sequence[str], label_values: Sequence[int], settings: PrepareSettings, store: Path, case: Case
) -> tuple[str, ...]:
    """Prepare one case, in a worker; return what is wrong with it."""
    import torch  # takes 3 s, which the parent does without

    torch.set_num_threads(1)  # the processes share the cores
    source = _fingerprint(case)  # before reading: a change from here on makes the case stale
    try:
        image, label = read_case(case, modalities, label_values)
        normalise(image.voxels, modalities, settings)
        geometry = _geometry(case, image.voxels, image.affine, settings)
    except DataError as error:
        return error.problems
    arrays = {"image": geometry.prepare_image(image.voxels).astype(np.float16)}
    classes: list[int] = []
    if label is not None:
        arrays["label"] = np.ascontiguousarray(geometry.prepare_labels(label.voxels))
        classes = np.flatnonzero(np.bincount(arrays["label"].ravel())).tolist()
    record = {"source": source, "classes": classes, "geometry": geometry.to_json()}
    _write_case(store, case.id, arrays, None if label is None else label.voxels, record)
    return ()


def _geometry(
    case: Case, image: NDArray[np.float32], affine: NDArray[np.float64], settings: PrepareSettings
) -> Geometry:
    """Choose the crop and the grid for a normalised image `(C, *original)`."""
    whole = Geometry.closest_to_ras(image.shape[1:], affine)
    if settings.geometry == "spacing":
        sides = np.rint(np.array(whole.stop) * whole.spacing / settings.spacing)
        if sides.prod() * len(image) > LARGEST_GRID:
            raise DataError([f"{case.image}: would be {sides} voxels at {settings.spacing} mm; check its spacing"])
        return replace(whole, grid=tuple(max(1, int(side)) for side in sides))
    box = foreground_box(whole.orient(image), settings.foreground)
    if box is None:
        raise DataError([f"{case.image}: has no voxel in the foreground; check its modality and the HU window"])
    return replace(whole, start=box[0], stop=box[1], grid=(settings.size,) * 3)


def _write_case(
    store: Path,
    case_id: str,
    arrays: dict[str, NDArray[Any]],
    native_label: NDArray[np.uint8] | None,
    record: dict[str, Any],
) -> None:
    folder = store / "partial" / case_id
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    if native_label is not None:
        np.savez_compressed(folder / "native_label.npz", label=native_label)
    (folder / "case.json").write_text(json.dumps(record), encoding="utf-8")
    final = store / "cases" / case_id
    if final.exists():  # its source has changed
        os.replace(final, store / "partial" / f".{case_id}")  # noqa: PTH105
    os.replace(folder, final)  # noqa: PTH105
