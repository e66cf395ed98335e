"""Finds the image that each label map belongs to, by their names. No file is opened."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from pathlib import PurePath

from sslmed.core.text import shorten
from sslmed.preparation.readers.label_names import LABEL_FOLDERS, stem, words_of
from sslmed.preparation.survey.remarks import Remarks

IMAGE_WORDS = {
    *("image", "images", "imagestr", "imagests", "imagesval", "img", "imgs", "scan", "scans", "volume", "volumes"),
    *("photo", "photos", "raw", "data", "anat", "orig", "ct", "mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd"),
    *("t2", "t2w", "flair", "pet"),
}
"""Words that say which image of a patient a file is, not of which patient."""

DERIVED = "derivatives"
"""Folder of BIDS with what was computed from images: https://bids-specification.readthedocs.io."""

BIDS = re.compile(r"(sub|ses|run)-[a-zA-Z0-9]+")


def pair(
    images: Mapping[PurePath, Sequence[int]], masks: Mapping[PurePath, Sequence[int]], remarks: Remarks
) -> dict[PurePath, dict[str, PurePath]]:
    """Find the image of each label map.

    It is one that is called like it; or else the only one of its grid near it; or else one that its name begins with.

    Args:
        images: Path within the folder -> shape.
        masks: The same of label maps.
        remarks: Gets what was not certain, and label maps that belong to no image.

    Returns:
        Image -> kind of label map -> label map.
    """
    called: dict[object, list[PurePath]] = defaultdict(list)
    below: dict[PurePath, list[PurePath]] = defaultdict(list)
    named: dict[tuple[str, ...], list[PurePath]] = defaultdict(list)
    for image in images:
        for name in {_name(part) for part in image.parts}:
            named[name].append(image)
        for key in _keys(image):
            called[key].append(image)
        for folder in image.parents:
            below[folder].append(image)
    found: list[tuple[PurePath, PurePath]] = []
    shared = []
    for mask, shape in masks.items():
        by_name = next((called[key] for key in _keys(mask) if key in called), [])
        candidates = by_name or next((below[folder] for folder in _near(mask) if folder in below), [])
        candidates = candidates or next((named[name] for name in _beginnings(mask) if name in named), [])
        fitting = _most_alike(mask, [image for image in candidates if tuple(images[image]) == tuple(shape)])
        if candidates and not fitting:
            grids = f"has {_size(shape)} voxels, but its image {candidates[0]} {_size(images[candidates[0]])}"
            remarks.problems.append(f"{mask}: {grids}; a label map must have its image's grid")
        elif not fitting or (len(fitting) > 1 and not by_name):
            could_be = f"it could be that of {shorten([*map(str, fitting)])}" if fitting else "there is none near it"
            remarks.problems.append(
                f"{mask}: is a label map by its name, but no image is called so, and {could_be}; "
                "rename it, or enter it in a column mask of the table"
            )
        else:
            found.append((fitting[0], mask))
            shared += [f"{mask} of {shorten([*map(str, fitting)])}"] * (len(fitting) > 1)
    if shared:
        remarks.notes.append(f"{len(shared)} label maps fit several images, and are given to the first: {shared[0]}")
    return _by_kind(found, remarks)


def _near(mask: PurePath) -> list[PurePath]:
    """Return the folder of a label map, and those above it, but not the whole."""
    return [mask.parent, *[folder for folder in mask.parent.parents if folder.parts]]


def _beginnings(mask: PurePath) -> list[tuple[str, ...]]:
    """Return what a label map calls its image, or a folder of it, the longest first: its name, or how this begins.

    `masks/p1_tumour` begins with `p1`. This counts only in folders of label maps, and `p1_2` does not, which can be
    another case.
    """
    name = _name(mask.name)
    in_folder = not LABEL_FOLDERS.isdisjoint(part.lower() for part in mask.parts[:-1])
    ends = [end for end in range(len(name) - 1, 0, -1) if in_folder and not name[end][0].isdigit()]
    return [name[:end] for end in (len(name), *ends) if end]


def _name(text: str) -> tuple[str, ...]:
    return tuple(word for word in words_of(text) if word not in LABEL_FOLDERS | IMAGE_WORDS)


def _most_alike(mask: PurePath, images: Sequence[PurePath]) -> list[PurePath]:
    """Return the images whose paths have the most words in common with that of a label map."""
    words = {*words_of(str(mask))}
    in_common = [len(words.intersection(words_of(str(image)))) for image in images]
    most = max(in_common, default=0)
    return [image for image, count in zip(images, in_common, strict=True) if count == most]


def _by_kind(found: Sequence[tuple[PurePath, PurePath]], remarks: Remarks) -> dict[PurePath, dict[str, PurePath]]:
    """Name the kinds of label maps: their names alone tell these, or also their folders if names are not enough."""
    masks: dict[PurePath, dict[str, PurePath]] = defaultdict(dict)
    by_name = [(image, _kind(image.name, mask.name) or mask.parent.name) for image, mask in found]
    by_path = [(image, _kind(str(image), str(mask))) for image, mask in found]
    times = Counter(kind for _, kind in by_name)
    without_cases = [  # a kind of one label map alone may name a case, as a folder of its image does
        (image, kind if times[kind] > 1 else _kind(str(image), mask.name) or mask.parent.name)
        for (image, kind), (_, mask) in zip(by_name, found, strict=True)
    ]
    kinds = next((each for each in (without_cases, by_name) if len({*each}) == len(found)), by_path)
    for (image, kind), (_, mask) in zip(kinds, found, strict=True):
        first = masks[image].setdefault(kind, mask)
        if first != mask:
            remarks.problems.append(f"{mask}: belongs to {image}, as {first} does; merge them into one label map")
    return masks


def _kind(image: str, mask: str) -> str:
    """Return what distinguishes the name or the path of a label map from that of its image, as `lesion_mask`."""
    known = {*words_of(image), DERIVED}
    words = [word.split("-") for word in re.split(r"[^A-Za-z0-9-]+", stem(mask)) if not BIDS.fullmatch(word)]
    rests = ["-".join(dropwhile(lambda part: part.lower() in known, parts)) for parts in words]
    return "_".join(filter(None, rests))


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _keys(path: PurePath) -> list[object]:
    """Return what an image and its label map have in common, the most certain first."""
    if path.name.startswith("sub-"):
        return [tuple(part for part in stem(path.name).split("_") if BIDS.fullmatch(part))]
    drop = LABEL_FOLDERS | IMAGE_WORDS
    whole, own = (
        tuple(dict.fromkeys(word for word in words_of(text) if word not in drop)) for text in (str(path), path.name)
    )
    return [("whole", whole), *[("name", own)] * bool(own)]
