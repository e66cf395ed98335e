"""What is doubtful in a dataset that could be prepared: places, labels and channels to look at."""

from collections.abc import Iterator, Mapping

import numpy as np

from sslmed.core.text import count, shorten
from sslmed.preparation.channels import order_note
from sslmed.preparation.missing_labels import missing_labels
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.readers.nifti_header import has_form
from sslmed.preparation.records import Record
from sslmed.preparation.store import Store


def doubts(dataset: Dataset, records: Mapping[str, Record], store: Store) -> Iterator[str]:
    """Say what to look at, one line each.

    Args:
        dataset: The dataset.
        records: Case id -> record, of all cases in the store.
        store: The prepared dataset.
    """
    yield from _guessed_places(dataset, records)
    for note in (*label_doubts(store), *order_note(dataset.modalities)):
        yield f"{dataset.root}: {note}"
    if dataset.label_maps:
        what = f"{count(len(dataset.label_maps), 'volume')} not taken as images, but as label maps by name"
        yield f"{what}; the first is {dataset.label_maps[0]}; a table can list it if it is one"


def label_doubts(store: Store) -> list[str]:
    """Say what to look at in the labels: those that may stand for a missing one, and copies with different ones."""
    notes = []
    if store.labels == "class":
        names = [*store.label_names.values()]
        notes += missing_labels("class", [names[index] for case in store.labelled for index in store.classes(case)])
    if store.labels == "value":
        notes += missing_labels("value", map(store.value, store.labelled))
    first: dict[str, str] = {}
    pairs = [(case, first.setdefault(store.digests[case], case)) for case in store.labelled]
    found = [f"{case} and {other}" for case, other in pairs if case != other and not _same_label(store, case, other)]
    if found:
        notes.append(f"copies of an image have different labels ({shorten(found)}); correct them, or leave one out")
    return notes


def _guessed_places(dataset: Dataset, records: Mapping[str, Record]) -> Iterator[str]:
    if dataset.spatial_dims == 2:
        return
    headers = {case.image: records[case.id]["geometry"]["header"] for case in dataset.cases if case.id in records}
    guessed = [image for image, header in headers.items() if not has_form(header)]
    if guessed:
        what = "at an unknown place (both form codes in the header are 0)"
        how = "axes are taken to run to the left, to the back and up, as ITK takes them"
        yield f"{count(len(guessed), 'image')} {what}; {how}; the first is {guessed[0]}"


def _same_label(store: Store, case: str, other: str) -> bool:
    if store.label_identity(case) == store.label_identity(other):
        return True
    return store.labels == "map" and np.array_equal(store.label_map(case), store.label_map(other))
