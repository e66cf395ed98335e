"""Tells label maps from images by their names. No file is opened."""

import re
from functools import cache
from pathlib import PurePath

from sslmed.preparation.readers.names import VOLUMES, strip_extension
from sslmed.preparation.readers.photographs import FORMATS

LABEL_WORDS = {
    *("seg", "segs", "segmentation", "segmentations", "mask", "masks", "label", "labels", "labelmap", "labelmaps"),
    *("gt", "groundtruth", "dseg", "probseg", "roi", "rois", "annotation", "annotations"),
}
"""Words of a file's name that say that it is a label map."""

LABEL_FOLDERS = LABEL_WORDS | {"labelstr", "labelsts", "labelsval"}


def is_label_name(path: PurePath) -> bool:
    """Return whether a file is a label map by its name (`case_seg.nii`) or that of a folder (`labelsTr`).

    Args:
        path: Path of the file within the folder that is looked at.
    """
    folders = {part.lower() for part in path.parts[:-1]}
    return bool(folders & LABEL_FOLDERS or LABEL_WORDS.intersection(words_of(path.name)))


@cache  # each label map without an image of its name is compared with all images near it
def words_of(path: str) -> tuple[str, ...]:
    """Return the words of a file's path in lower case, without the extension."""
    return tuple(word for word in re.split(r"[\W_]+", stem(path).lower()) if word)


def stem(name: str) -> str:
    """Return a file's name without the extension."""
    return strip_extension(name, (*VOLUMES, *FORMATS))
