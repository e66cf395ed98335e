"""Surveys a folder of images."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from sslmed.core.progress import progress
from sslmed.core.text import shorten
from sslmed.preparation.channels import name_channels, order_note
from sslmed.preparation.mask_values import mixed_values
from sslmed.preparation.missing_labels import missing_labels
from sslmed.preparation.readers.label_names import stem
from sslmed.preparation.settings import is_ct
from sslmed.preparation.survey.dataset_json import Names, read_names
from sslmed.preparation.survey.duplicates import duplicates
from sslmed.preparation.survey.files import find_files, read_headers, split
from sslmed.preparation.survey.image import Image
from sslmed.preparation.survey.nnunet import join_channels
from sslmed.preparation.survey.pairs import pair
from sslmed.preparation.survey.patients import name_patients
from sslmed.preparation.survey.remarks import Remarks
from sslmed.preparation.survey.samples import CT, Sample, choose, read_sample
from sslmed.preparation.survey.sheets import Sheet, find_sheet

SUBJECT = re.compile(r"(?:sub-|(?i:patient|subject)[ _-]?(?=\d))([a-zA-Z0-9]+)")
"""A folder or file of a patient, as BIDS or as people call it: `sub-A1`, `patient 07`."""


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


@dataclass(frozen=True)
class Survey:
    """Holds what a folder has.

    Args:
        folder: The folder.
        groups: The usable images, those with the most labels first.
        copies: Names of images of equal content.
        remarks: What was not certain, what cannot be used, and files that are no images.
    """

    folder: Path
    groups: list[Group]
    copies: list[list[PurePath]]
    remarks: Remarks


def survey(folder: Path) -> Survey:
    """Find out what images a folder has, also in subfolders and through links; nothing is written."""
    remarks = Remarks()
    files = find_files(folder, remarks)
    patients: dict[str, str] = {}
    images, masks = split(read_headers(folder, files, patients, remarks), remarks)
    jsons = [path for path in files if path.name == "dataset.json"]
    names: dict[PurePath, Names] = {path.parent.relative_to(folder): read_names(path) for path in jsons}
    nnunet = {root for root in names if names[root].is_nnunet}
    within = Remarks()  # their paths are within the folder
    images = [_described(image, names) for image in join_channels(images, masks, nnunet, within)]
    shapes = {image.name: image.shape for image in images}
    masks_of = pair(shapes, {name: mask.shape for name, mask in masks.items()}, within)
    remarks.notes += within.notes
    remarks.problems += [f"{folder}/{problem}" for problem in within.problems]
    sheets = [path for path in files if path.suffix.lower() == ".csv"]
    sheet = find_sheet(sheets, [image.name for image in images])
    if sheet is not None:
        images = name_patients(images, sheet, patients, remarks)
    kinds: dict[object, list[Image]] = {}
    for image in images:
        kinds.setdefault((image.dims, image.channels, tuple(map(is_ct, image.modality))), []).append(image)
    groups = [_group(each, masks_of, masks, sheet, names, remarks) for each in kinds.values()]
    groups = sorted((each for each in groups if each.images), key=lambda each: (-each.n_labelled, -len(each.images)))
    copies = [[image.name for image in same] for same in duplicates(images)]
    for each in groups:
        if each.kind == "volumes":
            remarks.notes += order_note(each.modality or name_channels(each.images[0].channels))
    if sheet is not None:
        labels = [float(text) if sheet.kind == "value" else text for text in sheet.labels.values()]
        remarks.notes += [*_contradictions(sheet, copies), *missing_labels(sheet.column, labels)]
    return Survey(folder, groups, copies, remarks)


def _contradictions(sheet: Sheet, copies: Sequence[Sequence[PurePath]]) -> list[str]:
    """Return a note on each image whose copies have different classes or values."""
    notes = []
    for same in copies:
        labels = sorted({sheet.labels[name] for name in same if name in sheet.labels})
        if len(labels) > 1:
            are = f"are one image, but their {sheet.column} is {' and '.join(labels)}"
            notes.append(f"{shorten([*map(str, same)])}: {are}; correct it, or leave one out")
    return notes


def _described(image: Image, names: Mapping[PurePath, Names]) -> Image:
    """Add what is in the path, the patient and the modality of BIDS, and names of a `dataset.json` above the image."""
    subjects = [match[1] for part in image.name.parts if (match := SUBJECT.match(part))]
    channels = _names_of(image, names).channels
    modality = channels if len(channels) == image.channels else image.modality
    suffix = stem(image.name.name).split("_")[-1]
    if not modality and image.name.name.startswith("sub-") and "-" not in suffix:  # else it is a key and its value
        modality = (suffix,)
    return replace(image, patient=subjects[0] if subjects else image.patient, modality=modality)


def _names_of(image: Image, names: Mapping[PurePath, Names]) -> Names:
    return next((names[folder] for folder in image.name.parents if folder in names), Names())


def _group(
    images: Sequence[Image],
    masks_of: Mapping[PurePath, Mapping[str, PurePath]],
    masks: Mapping[PurePath, Image],
    sheet: Sheet | None,
    names: Mapping[PurePath, Names],
    remarks: Remarks,
) -> Group:
    """Read a sample of images that belong together; those that cannot be used are left out."""
    maps: dict[str, dict[PurePath, Path]] = {}
    for image in images:
        for kind, mask in masks_of.get(image.name, {}).items():
            maps.setdefault(kind, {})[image.name] = masks[mask].files[0]
    maps = dict(sorted(maps.items(), key=lambda item: -len(item[1])))
    first = next(iter(maps.values()), {})
    chosen = choose(images, first)
    with progress("reading voxels", len(chosen), unit="images") as advance:
        sample = read_sample(chosen, first, advance)
    bad = sample.bad_images | sample.bad_masks
    remarks.problems += [problem for problems in bad.values() for problem in problems]
    if sample.maps:
        found = f"of {sample.n_images} images that were read, {len(sample.maps)} look like label maps"
        cure = "if they are, put mask or seg into the names of all of them (pat01_mask.nii.gz), and check again"
        remarks.notes.append(f"{found}: {shorten(sample.maps)}; {cure}")
    mixed = mixed_values(sample.occurring)
    if mixed is not None:
        remarks.notes.append(mixed)
    usable = tuple(image for image in images if image.name not in sample.bad_images)
    for name in sample.bad_masks:
        del first[name]
    for of_kind in maps.values():
        for name in sample.bad_images:
            of_kind.pop(name, None)
    maps = {kind: of_kind for kind, of_kind in maps.items() if of_kind}
    own = None if sheet is None or sheet.images.isdisjoint(image.name for image in usable) else sheet
    return Group(usable, maps, own, sample, _names_of(images[0], names).labels)
