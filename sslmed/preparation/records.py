"""What a store records of each case: the files that it came from, by size, time and content, and what they hold."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.readers.formats import source_files

Record = dict[str, Any]
"""Record of a case: `files` (size and time of each), their `paths`, `hashes` of their contents, `read_as`, `digest` of
the image, and for label maps the `classes` in it, those that only the label file has (`lost`), and their `values` where
the dataset does not declare them."""

DIGITS = 16
"""Hexadecimal digits of a file's hash."""


def describe_files(case: Case, dataset: Dataset) -> Record:
    """Describe a case's files without reading them.

    Returns:
        `files`; their `paths` within the dataset, which may have been moved as a whole; and `read_as`: what else
        determines the prepared arrays, beside files and settings.
    """
    files = [size_and_time(path) for path in case.files]
    paths = [os.path.relpath(path, dataset.root) for path in case.files]
    values = [*dataset.label_names] if case.mask is not None else []
    return {"files": files, "paths": paths, "read_as": [[*dataset.modalities], values]}


def hash_files(case: Case) -> list[str]:
    """Hash the contents of a case's files: the image, then the label map if there is one."""
    parts = [case.images] if case.mask is None else [case.images, (case.mask,)]
    return [_hash([file for path in paths for file in source_files(path)]) for paths in parts]


def size_and_time(path: Path) -> list[int]:
    """Return the bytes of all files of an image, and the sum of their times, which changes with any of them."""
    found = [file.stat() for file in source_files(path)]
    return [sum(each.st_size for each in found), sum(each.st_mtime_ns for each in found)]


def _hash(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()[:DIGITS]


def current_record(record: Record | None, case: Case, dataset: Dataset) -> Record | None:
    """Return the record of a case, with new times, if it is of the present files; else `None`.

    Contents are compared only where sizes are equal, and times or paths differ: a file that was copied or renamed has
    not changed, and another label map may have the size and the time of the first.
    """
    if record is None:
        return None
    described = describe_files(case, dataset)
    sizes = [[size for size, _ in files] for files in (record["files"], described["files"])]
    if record["read_as"] != described["read_as"] or sizes[0] != sizes[1]:
        return None
    current = record | described
    return current if current == record or record["hashes"] == hash_files(case) else None


def label_identity(case: Case, dataset: Dataset, hashes: Sequence[str]) -> str:
    """Return what identifies a case's label: the hash of its map, its class or its value; empty without a label."""
    if case.mask is not None:
        return hashes[-1]
    if case.label is None:
        return ""
    return dataset.label_names[int(str(case.label))] if dataset.labels == "class" else repr(case.label)
