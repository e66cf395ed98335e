"""Lists the photographs of a folder in the layout of APTOS 2019: https://kaggle.com/c/aptos2019-blindness-detection."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.readers.fundus_table import Row, read_grades, read_patients
from sslmed.preparation.readers.names import nfc
from sslmed.preparation.readers.photo_files import is_id, list_folder, name_images, select_images

GRADES = {0: "no DR", 1: "mild", 2: "moderate", 3: "severe", 4: "proliferative"}
COLOURS = ("red", "green", "blue")


def scan_fundus(root: Path) -> tuple[Dataset, list[str]]:
    """Read `train.csv`, and return the usable photographs and the problems of the others, one line each.

    Every photograph in `train_images/` has one row `id_code,diagnosis`, optionally with a column `patient`. Photographs
    in `test_images/`, which is optional, are unlabelled. Their patients are known if `test.csv` has the columns
    `id_code` and `patient` and a row for each; otherwise it is not used. Hidden files are ignored.

    Raises:
        DataError: If no photograph can be used, or `train.csv` cannot.
    """
    problems: list[str] = []
    table, folder = root / "train.csv", root / "train_images"
    rows = read_grades(table)
    if not rows:
        problems.append(f"{table}: lists no photograph; add a row for each")
    found = [path for each in (folder, root / "test_images") for path in select_images(list_folder(each), problems)]
    images = name_images([(nfc(path.stem), path) for path in found], problems)
    graded = {photo_id: path for photo_id, path in images.items() if path.parent == folder}
    cure = "move it to test_images, where unlabelled photographs are"
    photos = _match(table, rows, folder, graded, cure, problems)
    unlabelled = {photo_id: path for photo_id, path in images.items() if path.parent != folder}
    photos += _unlabelled_photos(root, unlabelled, problems)
    if not photos:
        raise DataError(problems)
    return Dataset(
        root=root,
        name=root.resolve().name,
        spatial_dims=2,
        modalities=COLOURS,
        labels="class",
        label_names=GRADES,
        cases=tuple(sorted(photos, key=lambda photo: photo.id)),
    ), problems


def _unlabelled_photos(root: Path, images: dict[str, Path], problems: list[str]) -> list[Case]:
    table, rows = root / "test.csv", None
    try:
        rows = read_patients(table)
    except DataError as error:
        problems += error.problems
    if rows is None:
        return [Case(photo_id, path) for photo_id, path in images.items()]
    return _match(table, rows, root / "test_images", images, "remove the column patient", problems)


def _match(
    table: Path, rows: Sequence[Row], folder: Path, images: dict[str, Path], cure: str, problems: list[str]
) -> list[Case]:
    """Return the images of `folder` with a valid row in `table`, and append mismatches to `problems`."""
    if rows and not images:
        problems.append(f"{folder}: holds no .png, .jpg or .jpeg; it must hold the photographs of {table.name}")
        return []
    photos: list[Case] = []
    lines: dict[str, int] = {}  # where an id was listed first
    for row in _without_extensions(table, rows, images, problems):
        found = _row_problems(row, folder, images, lines)
        problems += [f"{table}: line {row.line}: {problem}" for problem in found]
        lines.setdefault(row.photo_id, row.line)
        if not found:
            grade = None if row.grade is None else int(float(row.grade))
            photos.append(Case(row.photo_id, images[row.photo_id], grade, row.patient))
    problems += [
        f"{image}: has no row in {table.name}; add one, or {cure}"
        for photo_id, image in images.items()
        if photo_id not in lines
    ]
    return photos


def _without_extensions(
    table: Path, rows: Sequence[Row], images: dict[str, Path], problems: list[str]
) -> Sequence[Row]:
    """Accept file names as ids, and append this mistake to `problems`, once for the column."""
    files = {_lower_extension(nfc(path.name)): photo_id for photo_id, path in images.items()}
    ids = {row.photo_id: files.get(_lower_extension(row.photo_id)) for row in rows if row.photo_id not in images}
    named = [row for row in rows if ids.get(row.photo_id)]
    if named:
        first = f"the first on line {named[0].line} ({named[0].photo_id})"
        problems.append(
            f"{table}: id_code holds whole file names in {len(named)} rows, {first}; leave out the extension"
        )
    return [replace(row, photo_id=ids.get(row.photo_id) or row.photo_id) for row in rows]


def _lower_extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}{dot}{extension.lower()}"


def _row_problems(row: Row, folder: Path, images: dict[str, Path], lines: dict[str, int]) -> list[str]:
    if row.surplus:
        return [f"has {row.surplus} more cells than the first line; fix the row"]
    found = list(row.problems())
    if not is_id(row.photo_id):
        found.append(f"id_code must be a file's name without folder, leading dot and extension, not {row.photo_id!r}")
    elif row.photo_id in lines:
        found.append(f"{row.photo_id} is already listed on line {lines[row.photo_id]}; keep one row")
    elif row.photo_id not in images:
        found.append(f"{folder} holds no {row.photo_id}.png, .jpg or .jpeg; add it, or remove the row")
    return found
