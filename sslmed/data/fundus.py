"""Reads which photographs a folder in the layout of APTOS 2019 holds, https://kaggle.com/c/aptos2019-blindness-detection."""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import ClassVar

from sslmed.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg")
OTHER_IMAGES = (".bmp", ".dcm", ".gif", ".tif", ".tiff", ".webp")  # must not be passed over in silence
GRADES = {0: "no DR", 1: "mild", 2: "moderate", 3: "severe", 4: "proliferative"}
COLUMNS = ("id_code", "diagnosis")
WHOLE_GRADE = re.compile(r"([0-4])(\.0+)?")  # a table program writes 2.0 where a column has gaps
LONGEST_ID = 250  # bytes; an id names a folder of the store


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
        """SHA-256 of `train.csv`, where there is one, and the sorted paths of the unlabelled photographs."""
        table = self.root / "train.csv"
        digest = hashlib.sha256(table.read_bytes() if table.is_file() else b"")
        unlabelled = [photo.image.relative_to(self.root).as_posix() for photo in self.cases if not photo.is_labelled]
        digest.update("".join(f"\0{path}" for path in sorted(unlabelled)).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class _Row:
    """Cells of one row of `train.csv`, as text, where it stands, and how many cells it has too many."""

    place: str
    photo_id: str
    grade: str
    patient: str
    surplus: int


def read_fundus(root: Path) -> FundusDataset:
    """Read `train.csv`, which alone says which photographs are graded; no photograph is opened.

    Raises:
        DataError: With one line per problem, all of them at once.
    """
    dataset, problems = scan_fundus(root)
    if problems:
        raise DataError(problems)
    return dataset


def scan_fundus(root: Path) -> tuple[FundusDataset, list[str]]:
    """Read `train.csv`; return the usable photographs, and what is wrong with the others, one line each.

    Every photograph in `train_images/` has one row `id_code,diagnosis`, perhaps with a further column `patient`; those
    in `test_images/`, which need not exist, are unlabelled. Hidden files are passed over.

    Raises:
        DataError: No photograph can be used.
    """
    problems: list[str] = []
    rows = _read_rows(root / "train.csv", problems)
    folder = root / "train_images"
    found = _find_images(folder, folder.glob("*"), problems)
    if not found:
        raise DataError(
            [*problems, f"{folder}: holds no .png, .jpg or .jpeg; it must hold the photographs of train.csv"]
        )
    unlabelled = _find_images(root / "test_images", (root / "test_images").glob("*"), problems)
    images = _name_images([(path.stem, path) for path in [*found, *unlabelled]], problems)
    photos = _grade_photos(folder, rows, images, problems)
    photos += [Photo(photo_id, path) for photo_id, path in images.items() if path.parent != folder]
    return _dataset(root, photos, problems)


def scan_images(root: Path) -> tuple[FundusDataset, list[str]]:
    """Find the photographs in a pool, a folder and its subfolders, as `scan_fundus` does; all are unlabelled.

    A photograph's id is its path within the pool without the extension, with `-` for `/`.

    Raises:
        DataError: No photograph can be used.
    """
    problems: list[str] = []
    paths = (path for path in root.rglob("*") if not path.is_dir())
    images = [(path.relative_to(root), path) for path in _find_images(root, paths, problems)]
    names = [("-".join(relative.with_suffix("").parts), path) for relative, path in images]
    photos = [Photo(photo_id, path) for photo_id, path in _name_images(names, problems).items()]
    if not (photos or problems):
        problems.append(f"{root}: holds no .png, .jpg or .jpeg; give a folder of photographs")
    return _dataset(root, photos, problems)


def _dataset(root: Path, photos: list[Photo], problems: list[str]) -> tuple[FundusDataset, list[str]]:
    if not photos:
        raise DataError(problems)
    photos = sorted(photos, key=lambda photo: photo.id)
    return FundusDataset(root, root.resolve().name, tuple(photos)), problems


def _read_rows(path: Path, problems: list[str]) -> list[_Row]:
    lines = _read_lines(path)
    header = lines[0][1] if lines else []
    if any(header.count(column) != 1 for column in COLUMNS) or header.count("patient") > 1:
        expected = 'its first line must name the columns "id_code" and "diagnosis" once each, separated by commas'
        raise DataError([f"{path}: {expected}, not {','.join(header)!r}"])
    if not lines[1:]:
        problems.append(f"{path}: lists no photograph; add a row for each")
    rows = []
    for number, cells in lines[1:]:
        named = dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))
        surplus = max(0, len(cells) - len(header))
        rows.append(
            _Row(f"{path}: line {number}", named["id_code"], named["diagnosis"], named.get("patient", ""), surplus)
        )
    return rows


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    if not path.is_file():
        raise DataError([f"{path}: no such file; give the folder of a dataset as APTOS 2019, which holds train.csv"])
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise DataError([f"{path}: is not UTF-8 text ({error.reason}); save it as CSV in UTF-8"]) from error
    except csv.Error as error:
        raise DataError([f"{path}: is not valid CSV ({error}); mend or download it again"]) from error
    except OSError as error:
        raise DataError([f"{path}: cannot be read ({error.strerror}); check its permissions and the disk"]) from error
    return [(number, cells) for number, cells in lines if any(cells)]


def _find_images(folder: Path, paths: Iterable[Path], problems: list[str]) -> list[Path]:
    """Return those of `paths` in `folder` that are named as images, sorted."""
    images = []
    for path in sorted(paths):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_dir():
            problems.append(f"{path}: is a folder; photographs must lie directly in {folder}: move them there")
        elif path.suffix.lower() in OTHER_IMAGES:
            problems.append(f"{path}: is not a .png, .jpg or .jpeg; convert it to PNG, or move it elsewhere")
        elif path.suffix.lower() in EXTENSIONS and not path.is_file():
            problems.append(f"{path}: is a broken link or not a file; remove it, or copy the photograph there")
        elif path.suffix.lower() in EXTENSIONS:
            images.append(path)
    return images


def _name_images(named: Iterable[tuple[str, Path]], problems: list[str]) -> dict[str, Path]:
    """Return the images by id; one that has a bad id, or that of an earlier one, is left out."""
    images: dict[str, Path] = {}
    for photo_id, path in named:
        if not _is_id(photo_id):
            problems.append(
                f"{str(path)!r}: rename it: printable, without backslash or drive, at most {LONGEST_ID} bytes"
            )
        elif photo_id in images:
            problems.append(f"{path}: has the same id as {images[photo_id]} ({photo_id}); remove or rename one")
        else:
            images[photo_id] = path
    return images


def _is_id(photo_id: str) -> bool:
    is_name = PurePath(photo_id).name == PureWindowsPath(photo_id).name == photo_id != ""
    return (
        is_name and photo_id.isprintable() and not photo_id.startswith(".") and len(os.fsencode(photo_id)) <= LONGEST_ID
    )


def _grade_photos(folder: Path, rows: list[_Row], images: dict[str, Path], problems: list[str]) -> list[Photo]:
    """Return the photographs in `folder` with the grades of `rows`, and append what does not match to `problems`."""
    has_patients = any(row.patient for row in rows)
    photos: list[Photo] = []
    places: dict[str, str] = {}  # where an id was listed first
    for row in rows:
        image, grade = images.get(row.photo_id), WHOLE_GRADE.fullmatch(row.grade)
        found = list(_row_problems(row, places, has_patients))
        if _is_id(row.photo_id) and (image is None or image.parent != folder):
            found.append(f"{folder} holds no {row.photo_id}.png, .jpg or .jpeg; add it, or remove the row")
        places.setdefault(row.photo_id, row.place.rpartition(": ")[-1])
        problems += [f"{row.place}: {problem}" for problem in found]
        if image is not None and grade is not None and not found:
            photos.append(Photo(row.photo_id, image, int(grade[1]), row.patient if has_patients else None))
    problems += [
        f"{image}: has no row in train.csv; add one, or move it to test_images, where unlabelled photographs are"
        for photo_id, image in images.items()
        if image.parent == folder and photo_id not in places
    ]
    return photos


def _row_problems(row: _Row, places: dict[str, str], has_patients: bool) -> Iterator[str]:
    if row.surplus:
        yield f"has {row.surplus} more cells than the first line; mend the row"
        return
    if not _is_id(row.photo_id):
        yield f"id_code must be a file's name without folder, leading dot and extension, not {row.photo_id!r}"
    elif row.photo_id in places:
        yield f"{row.photo_id} is already listed on {places[row.photo_id]}; keep one row"
    if not row.grade:
        yield "has no diagnosis; add the grade, or remove the row and move the photograph to test_images"
    elif not WHOLE_GRADE.fullmatch(row.grade):
        yield f"diagnosis must be 0, 1, 2, 3 or 4, not {row.grade!r}"
    if has_patients and not row.patient:
        yield "has no patient, but other rows have; name the patient in each, or remove the column"
