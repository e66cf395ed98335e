"""Lists the files of folders, and the photographs among them by their names. No file is opened."""

import os
from collections.abc import Iterable
from pathlib import Path

EXTENSIONS = (".png", ".jpg", ".jpeg")
OTHER_IMAGES = (".bmp", ".dcm", ".gif", ".tif", ".tiff", ".webp")  # must not be ignored silently


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
