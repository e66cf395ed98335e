"""Prepares a dataset as a store: in parallel, resumable after a kill, without partial files."""

import json
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from filelock import FileLock

from sslmed.core.errors import DataError, UserError
from sslmed.core.files import read_json, refuse_within, remove_leftovers, write_text
from sslmed.core.text import count, shorten
from sslmed.core.workers import run_in_processes
from sslmed.preparation.case import prepare_case
from sslmed.preparation.doubts import doubts
from sslmed.preparation.mask_values import mixed_values
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Case, Dataset, Labels
from sslmed.preparation.records import Record, current_record
from sslmed.preparation.settings import VERSION, PrepareSettings
from sslmed.preparation.store import Store
from sslmed.preparation.summary import summarise_store


def prepare(
    data: Path | Sequence[Path],
    store: Path,
    settings: PrepareSettings,
    jobs: int | None = None,
    *,
    labels: Labels | None = None,
    pool: bool = False,
) -> Store:
    """Check every case of `data`, and write its arrays to `store`. Finished and unchanged cases are kept.

    A store has `settings.json`, written first; `cases/<id>/`, each built in `partial/` and moved when complete; and
    `store.json`, written last. It follows its dataset: new and changed cases are prepared, cases that are no longer
    listed are removed. Nothing is written to `data`.

    Args:
        data: A table, a folder with a table, one in the layout of an MSD task or of APTOS 2019, or one of loose images
            without labels; or several of them.
        store: A new or empty folder, or one that was prepared from a dataset of this name with the same settings.
        settings: Settings of the preparation.
        jobs: Number of worker processes, the usable cores by default; with 1, this process does the work.
        labels: Kind of labels to read from a table that has several.
        pool: Read all images of `data` without labels. Images that cannot be used are left out and reported.

    Returns:
        The store.

    Raises:
        DataError: If files cannot be used; one line for each.
        UserError: If `store` cannot be used.
    """
    roots = [data] if isinstance(data, Path) else data
    dataset, listed = layouts.scan_all(roots, labels=labels, pool=pool)
    refuse_within(store, roots, store)
    if dataset.spatial_dims == 2 and settings.geometry != "cube":
        raise UserError(f"{dataset.root}: photographs have no spacing in mm; leave out --geometry {settings.geometry}")
    try:
        _claim(store, dataset, settings, pool=pool)
        with FileLock(store / ".lock"):
            records = _prepare_cases(dataset, store, settings, jobs)
            left_out = {case: records.pop(case) for case in [*records] if "problems" in records[case]}
            problems = [*listed, *(problem for record in left_out.values() for problem in record["problems"])]
            mixed = mixed_values({case: record.get("values", ()) for case, record in records.items()})
            if mixed is not None:
                problems.append(f"{dataset.root}: {mixed}")
            if problems and not pool:
                raise DataError(problems)
            content = summarise_store(dataset, settings, records, left_out=left_out, problems=listed)
            write_text(store / "store.json", json.dumps(content, indent=1, ensure_ascii=False))
            prepared = Store(store)
            for doubt in doubts(dataset, records, prepared):
                print(doubt, file=sys.stderr)
            _report_left_out(store, problems)
    except OSError as error:
        # NumPy says only how many bytes were written when a disk is full.
        full = "" if error.errno else "; the disk is full: free some of it, and run the same command again"
        raise UserError(f"{store}: cannot be prepared: {error}{full}") from error
    return prepared


def _claim(store: Path, dataset: Dataset, settings: PrepareSettings, *, pool: bool) -> None:
    """Write the identity of the store, or refuse a store with another identity."""
    identity = {"version": VERSION, "dataset": dataset.name, "pool": pool, "labels": dataset.labels}
    identity = json.loads(json.dumps(identity | asdict(settings)))  # as it will be read back
    path = store / "settings.json"
    if path.is_file():
        found = read_json(path, remove=store)
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


def _prepare_cases(dataset: Dataset, store: Path, settings: PrepareSettings, jobs: int | None) -> dict[str, Record]:
    """Prepare the new and changed cases, remove those that are not listed, and return the records of all."""
    partial_cases, cases = store / "partial", store / "cases"
    shutil.rmtree(partial_cases, ignore_errors=True)  # of a run that was killed
    remove_leftovers(store)
    cases.mkdir(exist_ok=True)
    kept = {case.id: record for case in dataset.cases if (record := _kept_record(case, dataset, store))}
    to_do = [case for case in dataset.cases if case.id not in kept]
    gone = {path.name for path in cases.iterdir()}.difference(case.id for case in dataset.cases)
    if to_do or gone:
        _report_changes(store, [case.id for case in to_do], gone)
        (store / "store.json").unlink(missing_ok=True)
    partial_cases.mkdir()
    try:
        for name in gone:
            (cases / name).replace(partial_cases / f".{name}")
        function = partial(prepare_case, replace(dataset, cases=()), settings, store)
        records = run_in_processes(function, to_do, description="preparing", jobs=jobs)
    finally:
        shutil.rmtree(partial_cases)
    return kept | {case.id: record for case, record in zip(to_do, records, strict=True)}


def _kept_record(case: Case, dataset: Dataset, store: Path) -> Record | None:
    """Return the record of a case that is prepared and has not changed."""
    path = store / "cases" / case.id / "case.json"
    if not path.is_file():
        return None
    record: Record = read_json(path)
    current = current_record(record, case, dataset)
    if current is not None and current != record:
        write_text(path, json.dumps(current))
    return current


def _report_changes(store: Path, to_do: Sequence[str], gone: Collection[str]) -> None:
    """Say in one line what changes in a store that was complete."""
    path = store / "store.json"
    if not path.is_file():
        return
    old = read_json(path)
    kinds = {
        "changed": [case for case in to_do if case in old["records"]],
        "new": [case for case in to_do if case not in old["records"] and case not in old["left_out"]],
        "no longer listed": sorted(gone),
    }
    parts = [f"{len(cases)} {kind} ({shorten(cases)})" for kind, cases in kinds.items() if cases]
    if parts:
        print(f"{store}: the data have changed; cases: {', '.join(parts)}", file=sys.stderr)


def _report_left_out(store: Path, problems: Sequence[str]) -> None:
    path = store / "left-out.txt"
    path.unlink(missing_ok=True)
    if problems:
        write_text(path, "".join(f"{problem}\n" for problem in problems))
        summary = f"{path} lists {count(len(problems), 'problem')} with images, which are left out"
        print(f"{summary}; the first is {problems[0]}", file=sys.stderr)
