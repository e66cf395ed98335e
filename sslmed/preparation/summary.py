"""The contents of `store.json`: what is in a store, and what was left out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sslmed.core.errors import DataError
from sslmed.preparation.groups import merge_groups
from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.records import Record, label_identity
from sslmed.preparation.settings import VERSION, PrepareSettings


def summarise_store(
    dataset: Dataset,
    settings: PrepareSettings,
    records: Mapping[str, Record],
    *,
    left_out: Mapping[str, Record],
    problems: Sequence[str],
) -> dict[str, Any]:
    """Return the contents of `store.json`.

    Args:
        dataset: The dataset.
        settings: Settings of the preparation.
        records: Case id -> record, of all cases in the store.
        left_out: Case id -> record with `problems`, of the cases that could not be prepared.
        problems: Problems of other entries of the dataset, one line each.

    Raises:
        DataError: If the label maps hold nothing but background.
    """
    cases = [case for case in dataset.cases if case.id in records]
    patients = {case.id: [case.patient] for case in cases if case.patient}
    digests = {case.id: records[case.id]["digest"] for case in cases}
    names, codes = _classes(dataset, cases, records)
    return {
        "version": VERSION,
        "name": dataset.name,
        "root": str(dataset.root.resolve()),
        "spatial_dims": dataset.spatial_dims,
        "settings": asdict(settings),
        "modalities": dataset.modalities,
        "labels": dataset.labels,
        "label_names": names,
        "codes": codes,
        "labelled": [case.id for case in cases if case.is_labelled],
        "unlabelled": [case.id for case in cases if not case.is_labelled],
        "records": {case.id: _with_label(records[case.id], case, dataset) for case in cases},
        # Images that are equal after preparation are copies, whatever their file names and compression.
        "sources": {case.id: case.source for case in cases if case.source},
        "groups": merge_groups({case: [f"digest {digests[case]}", *patients.get(case, ())] for case in digests}),
        "left_out": dict(left_out),
        "problems": [*problems],
    }


def _with_label(record: Record, case: Case, dataset: Dataset) -> Record:
    """Add the label of a case, which can change without its files: a class or a value is in a table."""
    entry = {key: value for key, value in record.items() if key != "geometry"}
    entry["label"] = label_identity(case, dataset, record["hashes"])
    if dataset.labels == "class" and isinstance(case.label, int):
        entry["classes"] = [[*dataset.label_names].index(case.label)]
    elif dataset.labels == "value":
        entry["value"] = case.label
    return entry


def _classes(
    dataset: Dataset, cases: Sequence[Case], records: Mapping[str, Record]
) -> tuple[dict[int, str], list[int]]:
    """Return the names of the classes and their numbers in the arrays; undeclared ones are found in the label maps."""
    if dataset.labels != "map" or dataset.label_names:
        return dataset.label_names, list(range(len(dataset.label_names)))
    found = {value for case in cases if case.is_labelled for value in records[case.id].get("values", (0, 1))}
    if not found - {0}:
        raise DataError([f"{dataset.root}: no mask holds anything but 0, the background; check that they are masks"])
    codes = sorted(found | {0})
    return {code: "background" if code == 0 else f"label {code}" for code in codes}, codes
