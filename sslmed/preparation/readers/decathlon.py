"""Lists the cases of a folder in the layout of the Medical Segmentation Decathlon: http://medicaldecathlon.com."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from sslmed.core.errors import DataError
from sslmed.preparation.readers.dataset import Case, Dataset

EXTENSIONS = (".nii.gz", ".nii")
LARGEST_LABEL = 254  # labels are kept as uint8, and 255 means "undeclared" while a file is read


def scan_dataset(root: Path) -> tuple[Dataset, list[str]]:
    """Read `dataset.json`, and return the usable cases and the problems of other entries, one line each.

    Raises:
        DataError: If no case can be used.
    """
    path = root / "dataset.json"
    content = _read_json(path)
    problems: list[str] = []
    modalities = _read_names(content.get("modality"))
    if list(modalities) != list(range(len(modalities))) or not modalities:
        problems.append(
            f'{path}: "modality" must name each channel, as in {{"0": "CT"}}, not {content.get("modality")!r}'
        )
    labels = _read_names(content.get("labels"))
    if 0 not in labels or len(labels) < 2 or max(labels) > LARGEST_LABEL:
        problems.append(
            f'{path}: "labels" must name the background and at least one more integer from 1 to {LARGEST_LABEL}, '
            f'as in {{"0": "background", "1": "pancreas"}}, not {content.get("labels")!r}'
        )
    is_usable = not problems
    cases = _read_cases(path, content, problems)
    if not (is_usable and cases):
        raise DataError(problems)
    name = content.get("name")
    dataset = Dataset(
        root=root,
        name=name if isinstance(name, str) and name else root.resolve().name,
        spatial_dims=3,
        modalities=tuple(modalities.values()),
        labels="map",
        label_names=labels,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
    )
    return dataset, problems


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError([f"{path}: no such file; give the folder of an MSD task, which holds dataset.json"])
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError([f"{path}: is not valid JSON ({error}); fix it, or download it again"]) from error
    if not isinstance(content, dict):
        raise DataError([f"{path}: must hold a JSON object {{...}}, not a {type(content).__name__}"])
    return content


def _read_names(names: object) -> dict[int, str]:
    """Turn `{"1": "tumour", "0": "background"}` into `{0: "background", 1: "tumour"}`; empty for anything else."""
    if not isinstance(names, dict) or not all(key.isdecimal() and str(int(key)) == key for key in names):
        return {}
    return {value: str(names[str(value)]) for value in sorted(map(int, names))}


def _read_cases(path: Path, content: dict[str, Any], problems: list[str]) -> list[Case]:
    """Return the usable entries of `training` and `test`, and append the problems of the others to `problems`."""
    cases: list[Case] = []
    places: dict[str, str] = {}  # where an image or a label was listed first
    problems_before = len(problems)
    for place, entry in _entries(path, content, problems):
        image, label = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
        if not isinstance(image, str) or not isinstance(label, str | None):
            problems.append(f'{place}: must be a path or {{"image": path, "label": path}}, not {entry!r}')
            continue
        checked = [_file_problem(place, path.parent, file) for file in (image, label) if file is not None]
        found = [problem for problem in checked if problem is not None]
        case_id = _strip_extension(PurePath(image).name)
        listed = [f"case {case_id}", *([] if label is None else [f"label {PurePath(label)}"])]
        again = [key for key in listed if key in places]
        if again:
            found.append(f"{place}: {again[0]} is already listed as {places[again[0]]}; each may be listed once")
        places = dict.fromkeys(listed, place.removeprefix(f"{path}: ")) | places
        problems += found
        if not found:
            cases.append(Case(case_id, path.parent / image, None if label is None else path.parent / label))
    if not cases and len(problems) == problems_before:
        problems.append(f'{path}: lists no case; "training" and "test" must name the images')
    return cases


def _entries(path: Path, content: dict[str, Any], problems: list[str]) -> Iterator[tuple[str, Any]]:
    for section in ("training", "test"):
        entries = content.get(section, [])
        if not isinstance(entries, list):
            problems.append(f'{path}: "{section}" must be a list, not a {type(entries).__name__}')
            continue
        for index, entry in enumerate(entries):
            # The label of a test entry is not used: the decathlon's own test cases have none.
            if section == "test" and isinstance(entry, dict):
                entry = {"image": entry.get("image")}
            yield f"{path}: {section}[{index}]", entry


def _file_problem(place: str, root: Path, file: str) -> str | None:
    pure = PurePath(file)
    if pure.is_absolute() or PureWindowsPath(file).drive or ".." in pure.parts:
        return f"{place}: {file!r} must be a path inside the dataset's folder, without '..'"
    if _strip_extension(pure.name) == pure.name:
        return f"{place}: {file!r} must end in .nii or .nii.gz; convert it to NIfTI"
    if pure.name.startswith("."):
        return f"{place}: {file!r} is a hidden file; its name must not begin with a dot"
    if not (root / pure).is_file():
        return f"{place}: {root / pure} does not exist; add the file, or remove the entry"
    return None


def _strip_extension(name: str) -> str:
    for extension in EXTENSIONS:
        if name.endswith(extension):
            return name.removesuffix(extension)
    return name
