"""Finds and names files whatever the form of their names: Unicode composed or not, extensions in any case."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePath, PureWindowsPath

NIFTI = (".nii.gz", ".nii")
ANALYZE = (".hdr", ".img")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
FREESURFER = (".mgz", ".mgh")
VOLUMES = (*NIFTI, *ANALYZE, *ITK, *FREESURFER)
"""Endings of the files of volumes. A DICOM series is a folder."""

LONGEST_ID = 250  # bytes; an id names a folder of the store
ID_RULE = f"printable, without backslash or drive, at most {LONGEST_ID} bytes"
"""What an id must be, for messages."""


def nfc(name: str) -> str:
    """Return a name with composed characters: macOS writes ü as u and two dots, and other systems as one character."""
    return unicodedata.normalize("NFC", name)


def find_file(folder: Path, file: str) -> Path | None:
    """Return the file of this path within a folder, whose name may be composed otherwise; `None` if there is none."""
    found = find_path(folder, file)
    return found if found is not None and found.is_file() else None


def find_path(folder: Path, file: str) -> Path | None:
    """Return the file or folder of this path within a folder; see `find_file`."""
    try:
        if (folder / file).exists():
            return folder / file
        found = folder
        for part in PurePath(file).parts:
            there = found / part
            if not there.exists():
                composed = _by_composed_name(found, found.stat().st_mtime_ns)
                there = found / composed.get(nfc(part), part)
            found = there
        return found if found.exists() else None
    except (OSError, ValueError):  # a name that is too long or has a null byte, or a folder that cannot be read
        return None


@lru_cache(maxsize=16)
def _by_composed_name(folder: Path, changed: int) -> dict[str, str]:  # noqa: ARG001 (a changed folder is read again)
    return {nfc(path.name): path.name for path in sorted(folder.iterdir())}


def strip_extension(name: str, extensions: Sequence[str]) -> str:
    """Return a name without its extension, the longest of these that it has, in any case."""
    return name[: len(name) - max(len(end) for end in ("", *extensions) if name.lower().endswith(end))]


def escape(path: str) -> str:
    """Return a path as the name of one file: with `%2F` for `/` and `%25` for `%`."""
    return path.replace("%", "%25").replace("/", "%2F")


def name_cases(images: Sequence[str]) -> list[str]:
    """Name cases after their files, or after the part of the path that differs if files have equal names.

    `a/1.nii, b/2.nii` are 1 and 2; `scans/p1/ct.nii, scans/p2/ct.nii` are p1 and p2. Equal names remain only where
    paths are equal but for the extension.
    """
    paths = [PurePath(nfc(strip_extension(image, VOLUMES))).parts for image in images]
    names = [path[-1] if path else "" for path in paths]
    distinct = set(paths)
    if len(set(names)) == len(distinct):
        return names
    first = _common(distinct)
    last = min(_common({path[::-1] for path in distinct}), min(map(len, distinct)) - first - 1)
    return [escape("/".join(path[first : len(path) - last])) for path in paths]


def _common(paths: set[tuple[str, ...]]) -> int:
    """Return how many parts at the beginning all paths have in common; the last part of none is among them."""
    common = 0
    while len({path[: common + 1] for path in paths}) == 1:
        common += 1
    return min(common, min(map(len, paths)) - 1)


def name_images(named: Iterable[tuple[str, Path]], problems: list[str]) -> dict[str, Path]:
    """Return the images by id; images with an invalid or repeated id are problems and left out."""
    images: dict[str, Path] = {}
    for image_id, path in named:
        if not is_id(image_id):
            problems.append(f"{str(path)!r}: rename it: {ID_RULE}")
        elif image_id in images:
            problems.append(f"{path}: has the same id as {images[image_id]} ({image_id}); remove or rename one")
        else:
            images[image_id] = path
    return images


def is_id(image_id: str) -> bool:
    """Return whether an id can name a folder on any system."""
    is_name = PurePath(image_id).name == PureWindowsPath(image_id).name == image_id != ""
    return (
        is_name and image_id.isprintable() and not image_id.startswith(".") and len(os.fsencode(image_id)) <= LONGEST_ID
    )
