"""Finds the image that each label map belongs to, by their names. No file is opened."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from sslmed.core.text import shorten
from sslmed.preparation.readers.label_names import LABEL_FOLDERS, stem, words_of

DERIVED = "derivatives"
"""Folder of BIDS with what was computed from images: https://bids-specification.readthedocs.io."""

IMAGE_WORDS = {
    *("image", "images", "imagestr", "imagests", "imagesval", "img", "imgs", "scan", "scans", "volume", "volumes"),
    *("photo", "photos", "raw", "data", "anat", "orig", "ct", "mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd"),
    *("t2", "t2w", "flair", "pet"),
}
"""Words that say which image of a patient a file is, not of which patient."""

BIDS = re.compile(r"(sub|ses|run)-[a-zA-Z0-9]+")


@dataclass
class Pairs:
    """Holds what belongs together.

    Args:
        masks: Image -> kind of label map -> label map.
        notes: What was not certain, one line each.
        problems: Label maps that belong to no image, one line each.
    """

    masks: dict[PurePath, dict[str, PurePath]] = field(default_factory=lambda: defaultdict(dict))
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def is_derived(path: PurePath) -> bool:
    """Return whether a file was computed from an image, by BIDS."""
    return DERIVED in path.parts[:-1]


def pair(images: Mapping[PurePath, Sequence[int]], masks: Mapping[PurePath, Sequence[int]]) -> Pairs:
    """Find the image of each label map: one that is called like it, or the only one of its grid near it.

    Args:
        images: Path within the folder -> shape.
        masks: The same of label maps.
    """
    pairs = Pairs()
    called: dict[object, list[PurePath]] = defaultdict(list)
    below: dict[PurePath, list[PurePath]] = defaultdict(list)
    for image in images:
        for key in _keys(image):
            called[key].append(image)
        for folder in image.parents:
            below[folder].append(image)
    shared = []
    for mask, shape in masks.items():
        by_name = next((called[key] for key in _keys(mask) if key in called), [])
        found = by_name or next((below[folder] for folder in _near(mask) if folder in below), [])
        same = [image for image in found if tuple(images[image]) == tuple(shape)]
        in_common = {image: len({*words_of(str(image))} & {*words_of(str(mask))}) for image in same}
        likeliest = [image for image in same if in_common[image] == max(in_common.values())]
        if not found or (same and not by_name and len(likeliest) > 1):
            fits = f"it could be that of {shorten([*map(str, likeliest)])}" if same else "there is no image near it"
            pairs.problems.append(
                f"{mask}: is called like a label map, but like that of no image, and {fits}; rename it"
            )
        elif not same:
            expected = " x ".join(map(str, images[found[0]]))
            cure = "a label map must have its image's grid"
            size = " x ".join(map(str, shape))
            pairs.problems.append(f"{mask}: has {size} voxels, but its image {found[0]} {expected}; {cure}")
        else:
            _add(pairs, likeliest[0], mask)
            shared += [f"{mask} of {shorten([*map(str, likeliest)])}"] * (len(likeliest) > 1)
    if shared:
        pairs.notes.append(f"{len(shared)} label maps fit several images, and are given to the first: {shared[0]}")
    return pairs


def _near(mask: PurePath) -> list[PurePath]:
    """Return the folder of a label map, and those above it, but not the whole."""
    return [mask.parent, *[folder for folder in mask.parent.parents if folder.parts]]


def _add(pairs: Pairs, image: PurePath, mask: PurePath) -> None:
    kind = _kind(image, mask)
    if kind in pairs.masks[image]:
        first = pairs.masks[image][kind]
        pairs.problems.append(f"{mask}: belongs to {image}, as {first} does; merge them into one label map")
    else:
        pairs.masks[image][kind] = mask


def _kind(image: PurePath, mask: PurePath) -> str:
    """Return what distinguishes the name of a label map from that of its image, as `lesion_mask`."""
    name = re.split(r"[^A-Za-z0-9-]+", stem(mask.name))
    own = [word for word in name if word.lower() not in words_of(image.name) and not BIDS.fullmatch(word)]
    return "_".join(own) or mask.parent.name


def _keys(path: PurePath) -> list[object]:
    """Return what an image and its label map have in common, the most certain first."""
    if path.name.startswith("sub-"):
        return [tuple(part for part in stem(path.name).split("_") if BIDS.fullmatch(part))]
    drop = LABEL_FOLDERS | IMAGE_WORDS
    whole, own = (
        tuple(dict.fromkeys(word for word in words_of(text) if word not in drop)) for text in (str(path), path.name)
    )
    return [("whole", whole), *[("name", own)] * bool(own)]
