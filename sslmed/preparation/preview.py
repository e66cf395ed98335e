"""What a store will hold once a dataset is prepared, from what it holds already: for plans and dry runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.files import read_json
from sslmed.core.text import shorten
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.records import Record, current_record, describe_files
from sslmed.preparation.settings import VERSION, PrepareSettings
from sslmed.preparation.store import Store
from sslmed.preparation.summary import summarise_store


def preview(
    dataset: Dataset, listed: Sequence[str], store: Path, settings: PrepareSettings, *, pool: bool = False
) -> Store:
    """Return what a store will hold after `prepare`, without writing or preparing anything.

    Args:
        dataset: The dataset.
        listed: Problems of entries that are no case of the dataset.
        store: Folder of the store, which may not exist.
        settings: Settings of the preparation.
        pool: Whether images that cannot be used are left out.

    Returns:
        A store without the arrays of its `unprepared` cases. The classes in their label maps are not known yet.
    """
    old = _read(store)
    records: dict[str, Record] = {}
    left_out: dict[str, Record] = {}
    place = dataset.root.resolve()
    unprepared = []
    for case in dataset.cases:
        kept = current_record(old["records"].get(case.id), case, dataset)
        unusable = current_record(old["left_out"].get(case.id), case, dataset) if pool else None
        if kept is not None:
            records[case.id] = kept
        elif unusable is not None:
            left_out[case.id] = unusable
        else:
            unprepared.append(case.id)
            described = describe_files(case, dataset)
            unknown = f"not prepared yet: {place} {case.id} {described['files']}"
            records[case.id] = described | {"hashes": [unknown] * len(case.files), "digest": unknown, "classes": []}
    content = summarise_store(dataset, settings, records, left_out=left_out, problems=listed)
    return Store(store, json.loads(json.dumps(content)), unprepared=unprepared)  # as it will be read back


def refuse_namesake(dataset: Dataset, store: Path) -> None:
    """Refuse a dataset in another place than the one that a store was prepared from, if it does not hold its cases.

    A folder that was moved, also to another disk, is the same, and may have new cases.

    Raises:
        UserError: If it is so.
    """
    old, here = _read(store), str(dataset.root.resolve())
    there = old.get("root", here)
    if there == here:
        return
    cases = {case.id: case for case in dataset.cases}
    records: dict[str, Record] = old["records"]
    other = [
        name
        for name, record in records.items()
        if name not in cases or current_record(record, cases[name], dataset) is None
    ]
    if other:
        raise UserError(
            f"{here}: has the name of {there}, which runs were made with, and other cases ({shorten(other)}): rename "
            f"it, or give other folders by --runs and --out; if it is the same, moved and changed, remove {store}"
        )


def _read(store: Path) -> dict[str, Any]:
    path = store / "store.json"
    content: dict[str, Any] = read_json(path) if path.is_file() else {}
    return content if content.get("version") == VERSION else {"records": {}, "left_out": {}}
