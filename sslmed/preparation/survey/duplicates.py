"""Finds images of equal content, by size first: most files are not read."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

import isal.igzip

from sslmed.preparation.survey.image import Image

TRAILER = 8  # bytes at the end of a gzip file: checksum and length of the content


def duplicates(images: Iterable[Image]) -> list[list[Image]]:
    """Return the groups of images whose files have equal contents, whatever their names and gzip's settings."""
    alike: dict[Hashable, list[Image]] = defaultdict(list)
    for image in images:
        alike[image.shape, tuple(map(_cheap, image.files))].append(image)
    equal: dict[Hashable, list[Image]] = defaultdict(list)
    for key, group in alike.items():
        for image in group if len(group) > 1 else ():
            equal[key, tuple(map(_digest, image.files))].append(image)
    return [group for group in equal.values() if len(group) > 1]


def _cheap(path: Path) -> bytes | int:
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    with path.open("rb") as file:
        file.seek(-min(TRAILER, path.stat().st_size), 2)
        return file.read()


def _digest(path: Path) -> str:
    opened = isal.igzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")
    with opened as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
