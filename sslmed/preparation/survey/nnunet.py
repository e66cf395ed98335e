"""Joins the files of nnU-Net, one for each channel, to images: https://github.com/MIC-DKFZ/nnUNet."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import PurePath

from sslmed.preparation.readers.names import VOLUMES, strip_extension
from sslmed.preparation.survey.image import Image
from sslmed.preparation.survey.remarks import Remarks

NUMBERED = re.compile(r"(.+)_(\d{4})", re.DOTALL)
FOLDERS = ("imagestr", "imagests", "imagesval")


def join_channels(
    images: Sequence[Image], masks: Collection[PurePath], nnunet: Collection[PurePath], remarks: Remarks
) -> list[Image]:
    """Join `case_0000.nii.gz`, `case_0001.nii.gz` and so on of `imagesTr` to the image `case.nii.gz`.

    Args:
        images: Images of one file each.
        masks: Names of the label maps: they tell a channel's number from a case's.
        nnunet: Folders with a `dataset.json` of nnU-Net.
        remarks: Gets the cases that lack a channel.
    """
    joined = [image for image in images if _case(image) is None]
    cases: dict[PurePath, dict[PurePath, dict[int, Image]]] = defaultdict(lambda: defaultdict(dict))
    for image in images:
        if (found := _case(image)) is not None:
            case, number = found
            cases[case.parent.parent][case][number] = image
    labelled = {(mask.parent.parent, _stem(mask.name)) for mask in masks}
    for root, of_root in cases.items():
        if root not in nnunet and not any((root, _stem(case.name)) in labelled for case in of_root):
            joined += [image for channels in of_root.values() for image in channels.values()]
            continue
        wanted = [*range(max(map(len, of_root.values())))]
        for case, channels in of_root.items():
            if sorted(channels) != wanted or len({image.shape for image in channels.values()}) > 1:
                has = ", ".join(f"{number:04}" for number in sorted(channels))
                remarks.problems.append(f"{case}: has the channels {has}; each case needs {len(wanted)} on one grid")
                continue
            files = tuple(file for number in wanted for file in channels[number].files)
            joined.append(replace(channels[0], name=case, files=files, channels=len(files)))
    return sorted(joined, key=lambda image: image.name)


def _case(image: Image) -> tuple[PurePath, int] | None:
    """Return the name of a case and the number of a channel, if a file can be a channel of nnU-Net."""
    match = NUMBERED.fullmatch(_stem(image.name.name))
    if match is None or image.channels != 1 or image.name.parent.name.lower() not in FOLDERS:
        return None
    return image.name.with_name(match[1] + image.name.name[len(match[0]) :]), int(match[2])


def _stem(name: str) -> str:
    return strip_extension(name, VOLUMES)
