"""Prepares one case, and writes its arrays and its record."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from sslmed.core.errors import DataError
from sslmed.preparation.foreground import foreground_voxels, occurring
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.photograph import digest_of_pixels, prepare_photo
from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.readers.photographs import read_mask
from sslmed.preparation.records import Record, describe_files, hash_files
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.volume import prepare_volume


def prepare_case(dataset: Dataset, settings: PrepareSettings, store: Path, case: Case) -> Record:
    """Prepare one case in a worker, and return its record, with `problems` if it cannot be used."""
    arrays: dict[str, NDArray[Any]]
    # Before reading, so that a later change makes the case stale.
    try:
        record = describe_files(case, dataset) | {"hashes": hash_files(case)}
    except OSError as error:
        problem = (
            f"{error.filename or case.image}: cannot be read ({error.strerror}); check its permissions and the disk"
        )
        return {"files": [], "read_as": [], "problems": [problem]}
    try:
        if dataset.spatial_dims == 2:
            arrays, geometry = _prepare_photo(case, settings)
            digest = digest_of_pixels(arrays["image"])
        else:
            values = tuple(dataset.label_names) if dataset.labels == "map" else ()
            arrays, geometry, digest = prepare_volume(case, dataset.modalities, values, settings)
    except DataError as error:
        return record | {"problems": [*error.problems]}
    record |= {"digest": digest, "classes": [], "geometry": geometry.to_json()}
    if dataset.labels == "map" and case.is_labelled:
        record["classes"] = occurring(arrays["label"])
        record["lost"] = sorted({*occurring(arrays["native_label"])} - {0, *record["classes"]})
        arrays["foreground"] = foreground_voxels(arrays["label"])
        if not dataset.label_names:
            record["values"] = occurring(arrays["native_label"])
    _write_case(store, case.id, arrays, record)
    return record


def _prepare_photo(case: Case, settings: PrepareSettings) -> tuple[dict[str, NDArray[Any]], Geometry]:
    image, geometry = prepare_photo(case.image, settings)
    if case.mask is None:
        return {"image": image}, geometry
    mask = read_mask(case.mask, geometry.original_shape)
    return {"image": image, "label": geometry.prepare_labels(mask), "native_label": mask}, geometry


def _write_case(store: Path, case_id: str, arrays: dict[str, NDArray[Any]], record: Record) -> None:
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
        final.replace(store / "partial" / f".{case_id}")
    folder.replace(final)
