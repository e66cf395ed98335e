"""Reads which photographs a folder in the layout of APTOS 2019 holds, https://kaggle.com/c/aptos2019-blindness-detection."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sslmed.core.errors import DataError
from sslmed.preparation.readers.fundus_table import Row, read_grades, read_patients
from sslmed.preparation.readers.photo_files import is_id, list_folder, name_images, select_images, walk_folder

GRADES = {0: "no DR", 1: "mild", 2: "moderate", 3: "severe", 4: "proliferative"}
VOLUMES = (".nii", ".nii.gz", ".dcm")


@dataclass(frozen=True)
class Photo:
    """One photograph of the fundus.

    Args:
        id: `id_code` as text, so that 007 stays 007; of a photograph in a pool, its path within the pool.
        image: Path of the photograph.
        grade: Grade of diabetic retinopathy, 0 to 4; `None` where the photograph is unlabelled.
        patient: Whose eye it is; `None` where that is not known.
    """

    id: str
    image: Path
    grade: int | None = None
    patient: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the case."""
        return (self.image,)

    @property
    def is_labelled(self) -> bool:
        """Whether there is a grade."""
        return self.grade is not None


@dataclass(frozen=True)
class FundusDataset:
    """Graded photographs, or a pool of photographs without grades.

    Args:
        root: Folder that holds `train.csv`, or the pool.
        name: Name of the folder.
        cases: All photographs, sorted by id.
    """

    root: Path
    name: str
    cases: tuple[Photo, ...]

    spatial_dims: ClassVar[int] = 2
    modalities: ClassVar[tuple[str, ...]] = ("red", "green", "blue")
    label_names: ClassVar[dict[int, str]] = GRADES

    @property
    def digest(self) -> str:
        """SHA-256 of the tables that are used, and the sorted paths of the unlabelled photographs."""
        table = self.root / "train.csv"
        digest = hashlib.sha256(table.read_bytes() if table.is_file() else b"")
        unlabelled = [photo for photo in self.cases if not photo.is_labelled]
        if any(photo.patient is not None for photo in unlabelled):
            digest.update(b"\0test.csv\0" + (self.root / "test.csv").read_bytes())
        paths = sorted(photo.image.relative_to(self.root).as_posix() for photo in unlabelled)
        digest.update("".join(f"\0{path}" for path in paths).encode())
        return digest.hexdigest()


def scan_fundus(root: Path) -> tuple[FundusDataset, list[str]]:
    """Read `train.csv`; return the usable photographs, and what is wrong with the others, one line each.

    Every photograph in `train_images/` has one row `id_code,diagnosis`, perhaps with a further column `patient`; those
    in `test_images/`, which need not exist, are unlabelled. Who they are of is known if `test.csv` has columns
    `id_code` and `patient`, and then a row for each; without these it is not used. Hidden files are passed over.

    Raises:
        DataError: No photograph can be used, or `train.csv` cannot.
    """
    problems: list[str] = []
    table, folder = root / "train.csv", root / "train_images"
    rows = read_grades(table)
    if not rows:
        problems.append(f"{table}: lists no photograph; add a row for each")
    found = [path for each in (folder, root / "test_images") for path in select_images(list_folder(each), problems)]
    images = name_images([(path.stem, path) for path in found], problems)
    graded = {photo_id: path for photo_id, path in images.items() if path.parent == folder}
    cure = "move it to test_images, where unlabelled photographs are"
    photos = _match(table, rows, folder, graded, cure, problems)
    unlabelled = {photo_id: path for photo_id, path in images.items() if path.parent != folder}
    photos += _unlabelled_photos(root, unlabelled, problems)
    return _dataset(root, photos, problems)


def scan_images(root: Path) -> tuple[FundusDataset, list[str]]:
    """Find the photographs in a pool, a folder and its subfolders, also through links; all are unlabelled.

    A photograph's id is its path within the pool without the extension, with `%2F` for `/` and `%25` for `%`.

    Returns:
        The usable photographs, and what is wrong with others, one line each.

    Raises:
        DataError: No photograph can be used.
    """
    problems: list[str] = []
    files = walk_folder(root, problems)
    volumes = [path for path in files if _is_volume(path)]
    if volumes:
        problems.append(
            f"{root}: holds {len(volumes)} files of volumes, as {volumes[0].relative_to(root)}; volumes need a "
            "dataset.json that lists them, in the layout of the Medical Segmentation Decathlon, several channels "
            "merged in one 4-D NIfTI (see docs/your-own-data.md); photographs must be .png, .jpg or .jpeg"
        )
    images = select_images((path for path in files if not _is_volume(path)), problems)
    named = name_images([(_id_in_pool(path.relative_to(root)), path) for path in images], problems)
    if not (images or problems):
        problems.append(f"{root}: holds no .png, .jpg or .jpeg; give a folder of photographs")
    return _dataset(root, [Photo(photo_id, path) for photo_id, path in named.items()], problems)


def _dataset(root: Path, photos: list[Photo], problems: list[str]) -> tuple[FundusDataset, list[str]]:
    if not photos:
        raise DataError(problems)
    photos = sorted(photos, key=lambda photo: photo.id)
    return FundusDataset(root, root.resolve().name, tuple(photos)), problems


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(VOLUMES)


def _id_in_pool(path: Path) -> str:
    return path.with_suffix("").as_posix().replace("%", "%25").replace("/", "%2F")


def _unlabelled_photos(root: Path, images: dict[str, Path], problems: list[str]) -> list[Photo]:
    table, rows = root / "test.csv", None
    try:
        rows = read_patients(table)
    except DataError as error:
        problems += error.problems
    if rows is None:
        return [Photo(photo_id, path) for photo_id, path in images.items()]
    return _match(table, rows, root / "test_images", images, "remove the column patient", problems)


def _match(
    table: Path, rows: Sequence[Row], folder: Path, images: dict[str, Path], cure: str, problems: list[str]
) -> list[Photo]:
    """Return the images of `folder` that have a sound row in `table`, and append what does not match to `problems`."""
    if rows and not images:
        problems.append(f"{folder}: holds no .png, .jpg or .jpeg; it must hold the photographs of {table.name}")
        return []
    photos: list[Photo] = []
    lines: dict[str, int] = {}  # where an id was listed first
    for row in _without_extensions(table, rows, images, problems):
        found = _row_problems(row, folder, images, lines)
        problems += [f"{table}: line {row.line}: {problem}" for problem in found]
        lines.setdefault(row.photo_id, row.line)
        if not found:
            grade = None if row.grade is None else int(float(row.grade))
            photos.append(Photo(row.photo_id, images[row.photo_id], grade, row.patient))
    problems += [
        f"{image}: has no row in {table.name}; add one, or {cure}"
        for photo_id, image in images.items()
        if photo_id not in lines
    ]
    return photos


def _without_extensions(
    table: Path, rows: Sequence[Row], images: dict[str, Path], problems: list[str]
) -> Sequence[Row]:
    """Take a file's name for its id, and append that fault to `problems`, once for the column."""
    ids = {path.name: photo_id for photo_id, path in images.items() if path.name not in images}
    named = [row for row in rows if row.photo_id in ids]
    if named:
        first = f"the first on line {named[0].line} ({named[0].photo_id})"
        problems.append(
            f"{table}: id_code holds whole file names in {len(named)} rows, {first}; leave out the extension"
        )
    return [replace(row, photo_id=ids.get(row.photo_id, row.photo_id)) for row in rows]


def _row_problems(row: Row, folder: Path, images: dict[str, Path], lines: dict[str, int]) -> list[str]:
    if row.surplus:
        return [f"has {row.surplus} more cells than the first line; mend the row"]
    found = list(row.problems())
    if not is_id(row.photo_id):
        found.append(f"id_code must be a file's name without folder, leading dot and extension, not {row.photo_id!r}")
    elif row.photo_id in lines:
        found.append(f"{row.photo_id} is already listed on line {lines[row.photo_id]}; keep one row")
    elif row.photo_id not in images:
        found.append(f"{folder} holds no {row.photo_id}.png, .jpg or .jpeg; add it, or remove the row")
    return found
