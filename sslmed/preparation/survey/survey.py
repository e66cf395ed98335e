"""Surveys a folder of images."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from sslmed.core.errors import DataError
from sslmed.core.progress import progress
from sslmed.preparation.photograph import FORMATS
from sslmed.preparation.readers import dicom
from sslmed.preparation.readers.formats import source_files
from sslmed.preparation.readers.label_names import is_label_name
from sslmed.preparation.readers.names import VOLUMES, strip_extension
from sslmed.preparation.readers.photo_files import walk_folder
from sslmed.preparation.settings import is_ct
from sslmed.preparation.survey.channels import join_channels
from sslmed.preparation.survey.dataset_json import Names, read_names
from sslmed.preparation.survey.duplicates import duplicates
from sslmed.preparation.survey.image import Image, read_header
from sslmed.preparation.survey.pairs import Pairs, is_derived, pair
from sslmed.preparation.survey.samples import CT, Sample, choose, read_sample
from sslmed.preparation.survey.series import Patients, find_series
from sslmed.preparation.survey.sheets import Sheet, find_sheet

SUBJECT = re.compile(r"sub-([a-zA-Z0-9]+)")


@dataclass(frozen=True)
class Group:
    """Holds images that one dataset can consist of: of the same dimensions, channels and kind of values.

    Args:
        images: The images, sorted by name.
        masks: Kind of label map -> name of an image -> its label map. The first kind is that of the most images.
        sheet: Classes or values of the images, from a CSV file.
        sample: What the voxels of some of them say.
        label_names: Value of a label -> its name, from a `dataset.json`.
    """

    images: tuple[Image, ...]
    masks: dict[str, dict[PurePath, Path]]
    sheet: Sheet | None
    sample: Sample
    label_names: dict[int, str]

    @property
    def kind(self) -> str:
        """Volumes or photographs."""
        return "volumes" if self.images[0].dims == 3 else "photographs"

    @property
    def modality(self) -> tuple[str, ...]:
        """Name of each channel, if all images say it, or if all that were read look like a CT; else empty."""
        said = {image.modality for image in self.images}
        looks_like_ct = said == {()} and {*self.sample.looks} == {CT}
        return ("CT",) if looks_like_ct else next(iter(said)) if len(said) == 1 else ()

    @property
    def n_labelled(self) -> int:
        """Number of images that have a label, of the kind that most have."""
        named = set() if self.sheet is None else self.sheet.labels.keys() & {image.name for image in self.images}
        return max(len(named), *map(len, self.masks.values()), 0)


@dataclass
class Survey:
    """Holds what a folder has.

    Args:
        folder: The folder.
        groups: The usable images, those with the most labels first.
        copies: Names of images of equal content.
        notes: What was not certain, and what was left out on purpose, one line each.
        problems: What cannot be used and why, one line each.
        others: Extension -> number of files that are no images.
    """

    folder: Path
    groups: list[Group] = field(default_factory=list)
    copies: list[list[PurePath]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def survey(folder: Path) -> Survey:
    """Find out what images a folder has, also in subfolders and through links; nothing is written."""
    found = Survey(folder)
    files = _distinct(walk_folder(folder, found.problems), found)
    images, masks = _split(_headers(files, found), found)
    names = {_name(path.parent, found): read_names(path) for path in files if path.name == "dataset.json"}
    nnunet = {folder for folder in names if names[folder].is_nnunet}
    incomplete: list[str] = []
    images = [_described(image, names) for image in join_channels(images, [*masks], nnunet, incomplete)]
    found.copies = [[image.name for image in group] for group in duplicates(images)]
    pairs = pair({image.name: image.shape for image in images}, {name: mask.shape for name, mask in masks.items()})
    found.notes += pairs.notes
    found.problems += [f"{folder}/{problem}" for problem in (*incomplete, *pairs.problems)]
    sheets = [path for path in files if path.suffix.lower() == ".csv"]
    sheet = find_sheet(sheets, [image.name for image in images])
    kinds: dict[object, list[Image]] = {}
    for image in images:
        kinds.setdefault((image.dims, image.channels, tuple(map(is_ct, image.modality))), []).append(image)
    groups = [_group(each, pairs, masks, sheet, names, found) for each in kinds.values()]
    found.groups = sorted(
        (each for each in groups if each.images), key=lambda each: (-each.n_labelled, -len(each.images))
    )
    return found


def _name(path: Path, found: Survey) -> PurePath:
    return path.relative_to(found.folder)


def _distinct(files: Sequence[Path], found: Survey) -> list[Path]:
    """Return each file once: a link to a file that is in the folder as well is left out."""
    distinct: dict[Path, Path] = {}
    n_links = 0
    for path in sorted(files, key=lambda each: (each.is_symlink(), each)):
        if not path.is_file():
            cure = "remove it, or copy what it stands for there"
            found.problems.append(f"{path}: is a broken link or not a file; {cure}")
        elif distinct.setdefault(path.resolve(), path) is not path:
            n_links += 1
    if n_links:
        found.notes.append(f"{n_links} links to files that are in the folder as well are left out")
    return sorted(distinct.values())


def _headers(files: Sequence[Path], found: Survey) -> list[Image]:
    """Describe all images among files, and count the other files."""
    images: list[Image] = []
    series: dict[Path, list[Path]] = {}
    data = {each for path in files if path.name.lower().endswith(VOLUMES) for each in _data_files(path)}
    with progress("reading headers", len(files), unit="files") as advance:
        for path in files:
            if path in data:
                pass  # of another file, which is its header
            elif path.name.lower().endswith((*VOLUMES, *FORMATS)):
                try:
                    images.append(read_header(_name(path, found), path))
                except DataError as error:
                    found.problems += error.problems
            elif dicom.is_dicom(path):
                series.setdefault(path.parent, []).append(path)
                continue
            else:
                found.others[path.suffix.lower() or path.name] += 1
            advance()
        patients = Patients()
        for folder, of_folder in series.items():
            images += find_series(_name(folder, found), folder, of_folder, patients, found.notes, found.problems)
            advance(len(of_folder))
    return images


def _data_files(path: Path) -> tuple[Path, ...]:
    """Return the files that belong to a header file: `.img` to `.hdr`, `.raw` to `.mhd`."""
    try:
        return tuple(file for file in source_files(path) if file != path and not file.name.lower().endswith(".hdr"))
    except (DataError, OSError):
        return ()


def _split(found_images: Sequence[Image], found: Survey) -> tuple[list[Image], dict[PurePath, Image]]:
    """Tell images from label maps; images that were computed from others are left out."""
    masks = {image.name: image for image in found_images if is_label_name(image.name)}
    others = [image for image in found_images if image.name not in masks]
    images = [image for image in others if not is_derived(image.name)]
    if len(images) < len(others):
        n_derived = len(others) - len(images)
        found.notes.append(f"{n_derived} images in folders called derivatives are left out: they were computed")
    if masks and not images:
        found.notes.append("all images are called like label maps; they are taken for images")
        return [*masks.values()], {}
    return images, masks


def _described(image: Image, names: Mapping[PurePath, Names]) -> Image:
    """Add what BIDS puts into the path, the subject and the modality, and names of a `dataset.json` above the image."""
    subjects = [match[1] for part in image.name.parts if (match := SUBJECT.match(part))]
    channels = _names_of(image, names).channels
    modality = channels if len(channels) == image.channels else image.modality
    if subjects and not modality:
        modality = (strip_extension(image.name.name, VOLUMES).split("_")[-1],)
    return replace(image, patient=subjects[0] if subjects else image.patient, modality=modality)


def _names_of(image: Image, names: Mapping[PurePath, Names]) -> Names:
    return next((names[folder] for folder in image.name.parents if folder in names), Names())


def _group(
    images: Sequence[Image],
    pairs: Pairs,
    masks: Mapping[PurePath, Image],
    sheet: Sheet | None,
    names: Mapping[PurePath, Names],
    found: Survey,
) -> Group:
    """Read a sample of images that belong together; those that cannot be used are left out."""
    maps: dict[str, dict[PurePath, Path]] = {}
    for image in images:
        for kind, mask in pairs.masks.get(image.name, {}).items():
            maps.setdefault(kind, {})[image.name] = masks[mask].files[0]
    maps = dict(sorted(maps.items(), key=lambda item: -len(item[1])))
    first = next(iter(maps.values()), {})
    chosen = choose(images, first)
    with progress("reading voxels", len(chosen), unit="images") as advance:
        sample = read_sample(chosen, first, advance)
    bad = sample.bad_images | sample.bad_masks
    found.problems += [problem for problems in bad.values() for problem in problems]
    usable = tuple(image for image in images if image.name not in sample.bad_images)
    for name in sample.bad_masks:
        del first[name]
    for of_kind in maps.values():
        for name in sample.bad_images:
            of_kind.pop(name, None)
    maps = {kind: of_kind for kind, of_kind in maps.items() if of_kind}
    return Group(usable, maps, sheet, sample, _names_of(images[0], names).labels)
