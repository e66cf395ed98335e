"""Finds images of equal content, by size first: most files are not read."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable
from contextlib import suppress
from pathlib import Path

from isal import igzip, isal_zlib

from sslmed.preparation.readers.formats import source_files
from sslmed.preparation.survey.image import Image, gzip_trailer


def duplicates(images: Iterable[Image]) -> list[list[Image]]:
    """Return the groups of images whose files have equal contents, whatever their names and gzip's settings."""
    alike: dict[Hashable, list[tuple[Image, list[Path]]]] = defaultdict(list)
    for image in images:
        files = [file for path in image.files for file in (source_files(path) if image.dims == 3 else (path,))]
        sizes = tuple(gzip_trailer(file) or file.stat().st_size for file in files)
        alike[image.shape, sizes].append((image, files))
    equal: dict[Hashable, list[Image]] = defaultdict(list)
    for same in alike.values():
        for image, files in same if len(same) > 1 else ():
            # A damaged file has no copies; preparing it will name it.
            with suppress(OSError, EOFError, isal_zlib.error):  # type: ignore[arg-type]
                equal[tuple(map(_digest, files))].append(image)
    return [group for group in equal.values() if len(group) > 1]


def _digest(path: Path) -> str:
    packed = path.suffix.lower() == ".gz"
    with igzip.open(path) if packed else path.open("rb") as file:  # type: ignore[no-untyped-call]
        return hashlib.file_digest(file, "sha256").hexdigest()
