"""Prepares a dataset as a store: in parallel, resumable after a kill, without partial files."""

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from isal import igzip
from numpy.typing import NDArray

from sslmed.core.errors import DataError, UserError
from sslmed.core.files import remove_leftovers, write_text
from sslmed.core.workers import run_in_processes
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.groups import merge_groups
from sslmed.preparation.photograph import prepare_photo, read_mask
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Case, Dataset, Labels
from sslmed.preparation.readers.nifti_header import has_form
from sslmed.preparation.settings import VERSION, PrepareSettings
from sslmed.preparation.store import Store
from sslmed.preparation.volume import prepare_volume

__all__ = ["PrepareSettings", "prepare"]


def prepare(
    data: Path,
    store: Path,
    settings: PrepareSettings,
    jobs: int | None = None,
    *,
    labels: Labels | None = None,
    pool: bool = False,
) -> Store:
    """Check every case of `data`, and write its arrays to `store`. Finished and unchanged cases are kept.

    A store has `settings.json`, written first; `cases/<id>/`, each built in `partial/` and moved when complete; and
    `store.json`, written last. Nothing is written to `data`.

    Args:
        data: A table, a folder with a table, or a folder in the layout of an MSD task or of APTOS 2019.
        store: A new or empty folder, or one that was prepared from the same dataset with the same settings.
        settings: Settings of the preparation.
        jobs: Number of processes; the usable cores by default.
        labels: Kind of labels to read from a table that has several.
        pool: Read all images of `data` without labels. `data` may then be any folder of images. Images that cannot be
            used are left out and reported.

    Returns:
        The store.

    Raises:
        DataError: If files cannot be used; one line for each.
        UserError: If `store` cannot be used.
    """
    dataset, problems = layouts.scan(data, labels=labels, pool=pool)
    if data.is_dir() and store.resolve().is_relative_to(data.resolve()):
        raise UserError(f"{store}: lies within the data folder, where nothing is written; give another folder")
    if dataset.spatial_dims == 2 and settings.geometry != "cube":
        raise UserError(f"{data}: photographs have no spacing in mm; leave out --geometry {settings.geometry}")
    try:
        _claim(store, dataset, settings, pool=pool)
        with FileLock(store / ".lock"):
            problems += _prepare_cases(dataset, store, settings, jobs)
            if problems and not pool:
                raise DataError(problems)
            _finish(store, dataset, settings)
            _report_guesses(store, dataset)
            _report_left_out(store, problems)
    except OSError as error:
        raise UserError(f"{store}: cannot be prepared ({error.strerror}: {error.filename})") from error
    return Store(store)


def _claim(store: Path, dataset: Dataset, settings: PrepareSettings, *, pool: bool) -> None:
    """Write the identity of the store, or refuse a store with another identity."""
    identity = {"version": VERSION, "dataset": dataset.digest, "pool": pool, "labels": dataset.labels}
    identity = json.loads(json.dumps(identity | asdict(settings)))  # as it will be read back
    path = store / "settings.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in identity if found.get(name) != identity[name]]
        differences = [f"{name} ({found.get(name)} there, {identity[name]} now)" for name in changed]
        if differences:
            raise UserError(f"{store}: was prepared otherwise: {', '.join(differences)}; give another folder")
        return
    # A kill during the write below leaves a temporary file.
    is_new = not store.exists() or (store.is_dir() and all(f.name.startswith(path.name) for f in store.iterdir()))
    if not is_new:
        raise UserError(f"{store}: exists and is not a store; give a new or an empty folder")
    store.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(identity, indent=1))


def _prepare_cases(dataset: Dataset, store: Path, settings: PrepareSettings, jobs: int | None) -> list[str]:
    """Prepare the unfinished cases, and return their problems."""
    partial_cases = store / "partial"
    shutil.rmtree(partial_cases, ignore_errors=True)  # of a run that was killed
    remove_leftovers(store)
    to_do = [case for case in dataset.cases if not _is_done(case, store)]
    if to_do:
        (store / "store.json").unlink(missing_ok=True)
    (store / "cases").mkdir(exist_ok=True)
    partial_cases.mkdir()
    try:
        function = partial(_prepare_case, replace(dataset, cases=()), settings, store)
        results = run_in_processes(function, to_do, description="preparing", jobs=jobs)
    finally:
        shutil.rmtree(partial_cases)
    return [problem for problems in results for problem in problems]


def _finish(store: Path, dataset: Dataset, settings: PrepareSettings) -> None:
    cases = [case for case in dataset.cases if _is_done(case, store)]
    digests = {case.id: _read_record(store, case)["digest"] for case in cases}
    patients = {case.id: [case.patient] for case in cases if case.patient}
    names, codes = _classes(dataset, cases, store)
    summary = {
        "version": VERSION,
        "name": dataset.name,
        "spatial_dims": dataset.spatial_dims,
        "settings": asdict(settings),
        "modalities": dataset.modalities,
        "labels": dataset.labels,
        "label_names": names,
        "codes": codes,
        "labelled": [case.id for case in cases if case.is_labelled],
        "unlabelled": [case.id for case in cases if not case.is_labelled],
        "digests": digests,
        # Images that are equal after preparation are copies, whatever their file names and compression.
        "groups": merge_groups({case: [f"digest {digests[case]}", *patients.get(case, ())] for case in digests}),
    }
    write_text(store / "store.json", json.dumps(summary, indent=1, ensure_ascii=False))


def _classes(dataset: Dataset, cases: Sequence[Case], store: Path) -> tuple[dict[int, str], list[int]]:
    """Return the names of the classes and their numbers in the arrays; undeclared ones are found in the label maps."""
    if dataset.labels != "map" or dataset.label_names:
        return dataset.label_names, list(range(len(dataset.label_names)))
    found = {value for case in cases if case.is_labelled for value in _read_record(store, case)["values"]}
    if not found - {0}:
        raise DataError([f"{dataset.root}: no mask holds anything but 0, the background; check that they are masks"])
    codes = sorted(found | {0})
    return {code: "background" if code == 0 else f"label {code}" for code in codes}, codes


def _report_left_out(store: Path, problems: Sequence[str]) -> None:
    if problems:
        path = store / "left-out.txt"
        write_text(path, "".join(f"{problem}\n" for problem in problems))
        summary = f"{len(problems)} problems with images, which are left out, are listed in {path}"
        print(f"{summary}; the first is {problems[0]}", file=sys.stderr)


def _report_guesses(store: Path, dataset: Dataset) -> None:
    if dataset.spatial_dims == 2:
        return
    done = [case for case in dataset.cases if _is_done(case, store)]
    headers = {case.image: _read_record(store, case)["geometry"]["header"] for case in done}
    guessed = [image for image, header in headers.items() if not has_form(header)]
    if guessed:
        what = "do not say where they lie (both form codes in the header are 0)"
        how = "their axes are taken to run to the left, to the back and up, as ITK takes them"
        print(f"{len(guessed)} images {what}; {how}; the first is {guessed[0]}", file=sys.stderr)


def _is_done(case: Case, store: Path) -> bool:
    is_there = (store / "cases" / case.id / "case.json").is_file()
    return is_there and _read_record(store, case)["source"] == _fingerprint(case)


def _read_record(store: Path, case: Case) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((store / "cases" / case.id / "case.json").read_text(encoding="utf-8"))
    return record


def _fingerprint(case: Case) -> list[list[int]]:
    """Return sizes and times of the case's files; the dataset's digest covers the rest."""
    return [[file.st_size, file.st_mtime_ns] for file in (path.stat() for path in case.files)]


def _prepare_case(dataset: Dataset, settings: PrepareSettings, store: Path, case: Case) -> tuple[str, ...]:
    """Prepare one case in a worker, and return its problems."""
    arrays: dict[str, NDArray[Any]]
    source = _fingerprint(case)  # before reading, so that a later change makes the case stale
    label_values = tuple(dataset.label_names)
    try:
        if dataset.spatial_dims == 2:
            arrays, geometry = _prepare_photo(case, settings)
        else:
            values = label_values if dataset.labels == "map" else ()
            arrays, geometry = prepare_volume(case, dataset.modalities, values, settings)
    except DataError as error:
        return error.problems
    digest = hashlib.sha256(arrays["image"].tobytes()).hexdigest()
    record: dict[str, Any] = {"source": source, "digest": digest, "classes": [], "geometry": geometry.to_json()}
    if dataset.labels == "map" and case.is_labelled:
        record["classes"] = _occurring(arrays["label"])
        if not label_values:
            record["values"] = _occurring(arrays["native_label"])
    elif dataset.labels == "class" and isinstance(case.label, int):
        record["classes"] = [label_values.index(case.label)]
    elif dataset.labels == "value":
        record["value"] = case.label
    _write_case(store, case.id, arrays, record)
    return ()


def _prepare_photo(case: Case, settings: PrepareSettings) -> tuple[dict[str, NDArray[Any]], Geometry]:
    image, geometry = prepare_photo(case.image, settings)
    if case.mask is None:
        return {"image": image}, geometry
    mask = read_mask(case.mask, geometry.original_shape)
    return {"image": image, "label": geometry.prepare_labels(mask), "native_label": mask}, geometry


def _occurring(labels: NDArray[np.uint8]) -> list[int]:
    found: list[int] = np.flatnonzero(np.bincount(labels.ravel())).tolist()
    return found


def _write_case(store: Path, case_id: str, arrays: dict[str, NDArray[Any]], record: dict[str, Any]) -> None:
    folder = store / "partial" / case_id
    folder.mkdir()
    native_label = arrays.pop("native_label", None)
    if native_label is not None:
        content = io.BytesIO()
        np.save(content, native_label)
        # A tenth of the time and half the bytes of zlib's fastest level.
        compressed = igzip.compress(content.getbuffer(), compresslevel=1, mtime=0)
        (folder / "native_label.npy.gz").write_bytes(compressed)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "case.json").write_text(json.dumps(record), encoding="utf-8")
    final = store / "cases" / case_id
    if final.exists():  # its source has changed
        os.replace(final, store / "partial" / f".{case_id}")  # noqa: PTH105
    os.replace(folder, final)  # noqa: PTH105
