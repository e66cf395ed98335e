"""Lists the photographs of a folder in the layout of APTOS 2019: https://kaggle.com/c/aptos2019-blindness-detection."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers.csv_file import Line, by_column, read_lines, refuse_misspelt
from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.readers.listing import EXTENSIONS, list_folder, select_images
from sslmed.preparation.readers.names import is_id, name_images, nfc, strip_extension

GRADES = {0: "no DR", 1: "mild", 2: "moderate", 3: "severe", 4: "proliferative"}
WHOLE_GRADE = re.compile(r"([0-4])(\.0+)?")  # table programs write 2.0 if a column has gaps
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
    if not table.is_file():
        raise DataError([f"{table}: no such file; give the folder of a dataset as APTOS 2019, which holds train.csv"])
    rows = _rows(table, read_lines(table), ("id_code", "diagnosis"))
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
        rows = _read_patients(table)
    except DataError as error:
        problems += error.problems
    if rows is None:
        return [Case(photo_id, path) for photo_id, path in images.items()]
    return _match(table, rows, root / "test_images", images, "remove the column patient", problems)


def _read_patients(table: Path) -> list[Line] | None:
    """Read the patients of unlabelled photographs; `None` if the table has none, or does not exist."""
    lines = read_lines(table) if table.is_file() else []
    header = lines[0][1] if lines else []
    if len(header) == 1:  # a separator other than the comma must not hide the column
        header = re.split(r"\W+", header[0])
    refuse_misspelt(table, header, ["patient"])
    return _rows(table, lines, ("id_code", "patient")) if "patient" in header else None


def _rows(table: Path, lines: Sequence[tuple[int, list[str]]], columns: Sequence[str]) -> list[Line]:
    """Return the rows with the cells of these columns, and of `patient` if a row has one."""
    header = lines[0][1] if lines else []
    if any(header.count(column) != 1 for column in columns) or header.count("patient") > 1:
        names = " and ".join(f'"{column}"' for column in columns)
        expected = f"its first line must name the columns {names} once each, separated by commas"
        raise DataError([f"{table}: {expected}, not {','.join(header)!r}"])
    refuse_misspelt(table, header, ["patient"])
    rows = by_column(lines)
    has_patients = any(row.patient for row in rows)
    used = {*columns, "patient"} if has_patients else {*columns} - {"patient"}
    return [replace(row, cells={name: row.cells[name] for name in used}) for row in rows]


def _match(
    table: Path, rows: Sequence[Line], folder: Path, images: Mapping[str, Path], cure: str, problems: list[str]
) -> list[Case]:
    """Return the images of `folder` with a valid row in `table`, and append mismatches to `problems`."""
    if rows and not images:
        problems.append(f"{folder}: holds no .png, .jpg or .jpeg; it must hold the photographs of {table.name}")
        return []
    photos: list[Case] = []
    lines: dict[str, int] = {}  # where an id was listed first
    ids = _ids_of_file_names(table, rows, images, problems)
    for row in rows:
        photo_id = ids.get(row.cells["id_code"], row.cells["id_code"])
        found = [*_row_problems(row, photo_id, folder, images, lines)]
        problems += [f"{table}: line {row.number}: {problem}" for problem in found]
        lines.setdefault(photo_id, row.number)
        if not found:
            grade = int(float(row.cells["diagnosis"])) if "diagnosis" in row.cells else None
            photos.append(Case(photo_id, images[photo_id], grade, row.patient))
    problems += [
        f"{image}: has no row in {table.name}; add one, or {cure}"
        for photo_id, image in images.items()
        if photo_id not in lines
    ]
    return photos


def _ids_of_file_names(
    table: Path, rows: Sequence[Line], images: Collection[str], problems: list[str]
) -> dict[str, str]:
    """Return the id for each whole file name in `id_code`, and append this mistake to `problems`, once for all."""
    others = {row.cells["id_code"] for row in rows}.difference(images)
    ids = {name: photo_id for name in others if (photo_id := strip_extension(name, EXTENSIONS)) in images}
    named = [row for row in rows if row.cells["id_code"] in ids]
    if named:
        first = f"the first on line {named[0].number} ({named[0].cells['id_code']})"
        what = f"id_code holds whole file names in {len(named)} rows, {first}"
        problems.append(f"{table}: {what}; leave out the extension")
    return ids


def _row_problems(
    row: Line, photo_id: str, folder: Path, images: Collection[str], lines: Mapping[str, int]
) -> Iterator[str]:
    if row.surplus:
        yield f"has {row.surplus} more cells than the first line; fix the row"
        return
    grade = row.cells.get("diagnosis")
    if grade == "":
        yield "has no diagnosis; add the grade, or remove the row and move the photograph to test_images"
    elif grade is not None and not WHOLE_GRADE.fullmatch(grade):
        yield f"diagnosis must be 0, 1, 2, 3 or 4, not {grade!r}"
    if "patient" in row.cells and row.patient is None:
        yield "has no patient, but other rows have; name the patient in each, or remove the column"
    if not is_id(photo_id):
        yield f"id_code must be a file's name without folder, leading dot and extension, not {photo_id!r}"
    elif photo_id in lines:
        yield f"{photo_id} is already listed on line {lines[photo_id]}; keep one row"
    elif photo_id not in images:
        yield f"{folder} holds no {photo_id}.png, .jpg or .jpeg; add it, or remove the row"
