"""Lists the cases of a folder in the layout of the Medical Segmentation Decathlon: http://medicaldecathlon.com."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from sslmed.core.errors import DataError
from sslmed.core.nearest import did_you_mean
from sslmed.preparation.readers.dataset import Case, Dataset
from sslmed.preparation.readers.dicom import find_series
from sslmed.preparation.readers.names import ID_RULE, VOLUMES, find_file, is_id, name_cases, strip_extension

SECTIONS = {"training": "numTraining", "test": "numTest"}
"""Lists of cases that are read, and the keys that say how many cases each has."""

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
    twice: list[str] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=read_object)
    except (ValueError, RecursionError) as error:
        raise DataError([f"{path}: is not valid JSON ({error}); fix it, or download it again"]) from error
    if twice:
        raise DataError([f'{path}: gives the key "{twice[0]}" twice, of which one would be lost; keep one'])
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
    problems_before = len(problems)
    usable: list[tuple[str, str, str | None]] = []
    places: dict[PurePath, str] = {}  # where a file was listed first
    for place, entry in _entries(path, content, problems):
        wrong = _entry_problem(entry)
        if wrong is not None:
            problems.append(f"{place}: {wrong}")
            continue
        image, label = (entry["image"], entry.get("label")) if isinstance(entry, dict) else (entry, None)
        files = {"image": image} if label is None else {"image": image, "label": label}
        found = [problem for file in files.values() if (problem := _file_problem(place, path.parent, file))]
        for kind, file in files.items():
            here = f"the {kind} of {place.removeprefix(f'{path}: ')}"
            if (first := places.setdefault(PurePath(file), here)) != here:
                found.append(f"{place}: {kind} {PurePath(file)} is already listed as {first}; each may be listed once")
        problems += found
        if not found:
            usable.append((place, image, label))
    if not usable and len(problems) == problems_before:
        problems.append(f'{path}: lists no case; "training" and "test" must name the images')
    return _named(path.parent, usable, problems)


def _named(root: Path, usable: Sequence[tuple[str, str, str | None]], problems: list[str]) -> list[Case]:
    cases: dict[str, Case] = {}
    for name, (place, image, label) in zip(name_cases([image for _, image, _ in usable]), usable, strict=True):
        if name in cases:
            problems.append(f"{place}: {image} differs from {cases[name].image} in its extension alone; rename one")
        elif not is_id(name):
            problems.append(f"{place}: {image!r}: rename it: {ID_RULE}")
        else:
            cases[name] = Case(name, _find(root, image), None if label is None else _find(root, label))
    return list(cases.values())


def _find(root: Path, file: str) -> Path:
    return find_file(root, file) or find_series(root, file) or root / file


def _entries(path: Path, content: dict[str, Any], problems: list[str]) -> Iterator[tuple[str, Any]]:
    for section, entries in content.items():
        if section not in SECTIONS and isinstance(entries, list) and any(map(_is_case, entries)):
            cure = 'move those with a label to "training", from which validation cases are chosen, and others to "test"'
            cure += did_you_mean(section, SECTIONS)
            problems.append(f'{path}: "{section}" lists {len(entries)} cases that would not be read; {cure}')
    for section, count in SECTIONS.items():
        entries = content.get(section, [])
        if not isinstance(entries, list):
            problems.append(f'{path}: "{section}" must be a list, not a {type(entries).__name__}')
            continue
        if count in content and str(content[count]) != str(len(entries)):
            listed = f'"{count}" is {content[count]!r}, but "{section}" lists {len(entries)} cases'
            problems.append(f"{path}: {listed}; add the others, or correct the number")
        for index, entry in enumerate(entries):
            # The label of a test entry is not used: the decathlon's own test cases have none.
            if section == "test" and isinstance(entry, dict):
                entry = {"image": entry.get("image")}
            yield f"{path}: {section}[{index}]", entry


def _is_case(entry: object) -> bool:
    return isinstance(entry, dict) or _is_path(entry)


def _is_path(value: object) -> bool:
    """Return whether a value is the path of a volume, or a list that begins with one."""
    if isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, str) and strip_extension(value, VOLUMES) != value


def _entry_problem(entry: object) -> str | None:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {"image": entry}
    several = [name for name in ("image", "label") if isinstance(fields.get(name), list)]
    if several:
        count = len(fields[several[0]])
        return f'"{several[0]}" lists {count} files; merge them as channels of one 4-D NIfTI, and give its path'
    image, label = fields.get("image"), fields.get("label")
    if not (isinstance(image, str) and image and isinstance(label, str | None) and label != ""):
        return f'must be a path or {{"image": path, "label": path}}, not {entry!r}'
    unread = [name for name, value in fields.items() if name not in ("image", "label") and _is_path(value)]
    if unread:
        meant = did_you_mean(unread[0], ("image", "label"))
        return f'"{unread[0]}" names a file, but only "image" and "label" are read; rename or remove the key{meant}'
    return None


def _file_problem(place: str, root: Path, file: str) -> str | None:
    pure = PurePath(file)
    if pure.is_absolute() or PureWindowsPath(file).drive or ".." in pure.parts:
        return f"{place}: {file!r} must be a path inside the dataset's folder, without '..'"
    series = find_series(root, file)
    if series is None and strip_extension(pure.name, VOLUMES) == pure.name:
        return f"{place}: {file!r} must end in {', '.join(VOLUMES)}, or be the folder of a DICOM series"
    if pure.name.startswith("."):
        return f"{place}: {file!r} is a hidden file; its name must not begin with a dot"
    if series is None and find_file(root, file) is None:
        return f"{place}: {root / pure} does not exist; add the file, or remove the entry"
    return None
