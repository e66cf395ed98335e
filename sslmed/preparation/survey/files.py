"""Finds the files of images in a folder, and reads what their headers say."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from sslmed.core.errors import DataError
from sslmed.core.progress import progress
from sslmed.core.text import count, shorten
from sslmed.preparation.readers import dicom
from sslmed.preparation.readers.formats import source_files
from sslmed.preparation.readers.label_names import is_label_name
from sslmed.preparation.readers.listing import walk_folder
from sslmed.preparation.readers.names import VOLUMES
from sslmed.preparation.readers.photographs import FORMATS
from sslmed.preparation.readers.table_rows import MASKS
from sslmed.preparation.survey.image import Image, read_header
from sslmed.preparation.survey.pairs import DERIVED
from sslmed.preparation.survey.remarks import Remarks
from sslmed.preparation.survey.series import find_series


def find_files(folder: Path, remarks: Remarks) -> list[Path]:
    """Return each file of a folder once: a link to a file that is in the folder as well is left out."""
    files: dict[Path, Path] = {}
    n_links, hidden = 0, list[Path]()
    for path in sorted(walk_folder(folder, remarks.problems, hidden), key=lambda each: (each.is_symlink(), each)):
        if not path.is_file():
            cure = "remove it, or copy what it stands for there"
            remarks.problems.append(f"{path}: is a broken link or not a file; {cure}")
        elif files.setdefault(path.resolve(), path) is not path:
            n_links += 1
    if hidden:
        names = shorten([str(path.relative_to(folder)) for path in sorted(hidden)])
        remarks.notes.append(f"hidden files and folders are left out, {len(hidden)} in all: {names}")
    if n_links:
        remarks.notes.append(f"left out: {count(n_links, 'link')} to files that are in the folder as well")
    return sorted(files.values())


def read_headers(folder: Path, files: Sequence[Path], patients: dict[str, str], remarks: Remarks) -> list[Image]:
    """Describe all images among the files of a folder, and count the other files; see `find_series` for patients."""
    images: list[Image] = []
    series: dict[Path, list[Path]] = {}
    data = {each for path in files for each in _data_files(path)}
    with progress("reading headers", len(files), unit="files") as advance:
        for path in files:
            if dicom.is_dicom(path):
                series.setdefault(path.parent, []).append(path)
                continue
            if path.name.lower().endswith((*VOLUMES, *FORMATS)) and path not in data:
                try:
                    images.append(read_header(path.relative_to(folder), path))
                except DataError as error:
                    remarks.problems += error.problems
            elif path not in data:
                remarks.others[path.suffix.lower() or path.name] += 1
            advance()
        for parent, of_parent in series.items():
            images += find_series(parent.relative_to(folder), parent, of_parent, patients, remarks)
            advance(len(of_parent))
    return images


def _data_files(path: Path) -> list[Path]:
    """Return the files that belong to a header file: `.img` to `.hdr`, `.raw` to `.mhd`."""
    if not path.name.lower().endswith(VOLUMES):
        return []
    try:
        return [file for file in source_files(path) if file != path and not file.name.lower().endswith(".hdr")]
    except (DataError, OSError):  # reading its header says what is wrong
        return []


def split(found: Sequence[Image], remarks: Remarks) -> tuple[list[Image], dict[PurePath, Image]]:
    """Tell images from label maps; images that were computed from others are left out."""
    masks = [image for image in found if is_label_name(image.name)]
    others = [image for image in found if not is_label_name(image.name)]
    images = [image for image in others if DERIVED not in image.name.parts[:-1]]
    if len(images) < len(others):
        n_derived = len(others) - len(images)
        remarks.notes.append(
            f"left out: {count(n_derived, 'image')} in folders called {DERIVED}, as computed from others"
        )
    if masks and not images:
        remarks.notes.append("all images are called like label maps; they are taken for images")
        return masks, {}
    usable = {mask.name: mask for mask in masks if _mask_problem(mask) is None}
    remarks.problems += [f"{mask.files[0]}: {_mask_problem(mask)}" for mask in masks if mask.name not in usable]
    return images, usable


def _mask_problem(mask: Image) -> str | None:
    if mask.dims == 2 and mask.format not in MASKS:
        return "is a label map as JPEG, which changes the numbers of classes; save it as PNG"
    if mask.dims == 3 and mask.channels != 1:
        return f"is a label map of {mask.channels} channels; it must have one"
    return None
