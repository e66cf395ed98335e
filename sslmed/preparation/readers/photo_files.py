"""Finds the photographs in a folder by file name, and gives each an id. No file is opened."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath, PureWindowsPath

EXTENSIONS = (".png", ".jpg", ".jpeg")
OTHER_IMAGES = (".bmp", ".dcm", ".gif", ".tif", ".tiff", ".webp")  # must not be ignored silently
LONGEST_ID = 250  # bytes; an id names a folder of the store


def list_folder(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted, without hidden files; empty if the folder does not exist."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def walk_folder(root: Path, problems: list[str], hidden: list[Path] | None = None) -> list[Path]:
    """Return all files in a folder and its subfolders, sorted, without hidden ones.

    Links to folders are followed, and each folder is read once. A folder that cannot be read is a problem.

    Args:
        root: The folder.
        problems: Gets a line for each folder that cannot be read.
        hidden: Gets the hidden files and folders, if it is given.
    """

    def report(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read ({error.strerror}); check its permissions and the disk")

    files: list[Path] = []
    seen: set[Path] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=report):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        if hidden is not None:
            hidden += (Path(folder, name) for name in (*subfolders, *names) if name.startswith("."))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        files += (Path(folder, name) for name in names if not name.startswith("."))
    return sorted(files)


def select_images(paths: Iterable[Path], problems: list[str]) -> list[Path]:
    """Return the paths with an image extension; folders, broken links and other image types are problems."""
    images = []
    for path in paths:
        suffix = path.suffix.lower()
        if path.is_dir():
            problems.append(f"{path}: is a folder; photographs must lie directly in {path.parent}: move them there")
        elif not path.is_file() and (path.is_symlink() or suffix in EXTENSIONS):
            problems.append(f"{path}: is a broken link or not a file; remove it, or copy what it stands for there")
        elif suffix in OTHER_IMAGES:
            problems.append(f"{path}: is not a .png, .jpg or .jpeg; convert it to PNG, or move it elsewhere")
        elif suffix in EXTENSIONS:
            images.append(path)
    return images


def name_images(named: Iterable[tuple[str, Path]], problems: list[str]) -> dict[str, Path]:
    """Return the images by id; images with an invalid or repeated id are problems and left out."""
    images: dict[str, Path] = {}
    for photo_id, path in named:
        if not is_id(photo_id):
            problems.append(
                f"{str(path)!r}: rename it: printable, without backslash or drive, at most {LONGEST_ID} bytes"
            )
        elif photo_id in images:
            problems.append(f"{path}: has the same id as {images[photo_id]} ({photo_id}); remove or rename one")
        else:
            images[photo_id] = path
    return images


def is_id(photo_id: str) -> bool:
    """Return whether an id can name a folder on any system."""
    is_name = PurePath(photo_id).name == PureWindowsPath(photo_id).name == photo_id != ""
    return (
        is_name and photo_id.isprintable() and not photo_id.startswith(".") and len(os.fsencode(photo_id)) <= LONGEST_ID
    )
