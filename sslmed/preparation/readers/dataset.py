"""Defines the output of every reader: the cases of a dataset, and the kind of their labels."""

import re
import unicodedata
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

Labels = Literal["none", "map", "class", "value"]
"""Kind of labels, which determines the task: none, or a map, a class or a value for each image."""

KINDS: dict[Labels, str] = {"none": "absent", "map": "label maps", "class": "classes", "value": "values"}
"""Names of the kinds of labels in messages."""

WHOLE_NUMBER = re.compile(r"[+-]?\d+(\.0*)?|\d(\.\d+)?[eE]\+\d\d?", re.ASCII)
"""A whole number as table programs write it: 12, 12.0, 012, or 1.2E+10."""

Task = Literal["segmentation", "classification", "regression"]

LABELS_OF_TASKS: dict[Task, Labels] = {"segmentation": "map", "classification": "class", "regression": "value"}
"""Task -> kind of labels that it needs."""


@dataclass(frozen=True)
class Case:
    """Describes one image and its label.

    Args:
        id: Name of the case as text: 007 stays 007.
        image: Path of the image, or of its first channel if each channel is a file.
        label: Path of its label map, or its class as a key of `Dataset.label_names`, or its value; `None` if the case
            is unlabelled.
        patient: Patient of the image, in the form of `patient_name`; `None` if unknown.
        channels: Paths of the other channels, if each channel is a file.
        source: The dataset that the image comes from, if there are several.
    """

    id: str
    image: Path
    label: Path | int | float | None = None
    patient: str | None = None
    channels: tuple[Path, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        if self.patient is not None:
            object.__setattr__(self, "patient", patient_name(self.patient))

    @property
    def mask(self) -> Path | None:
        """Path of the label map, if there is one."""
        return self.label if isinstance(self.label, Path) else None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the case."""
        return (*self.images, *([] if self.mask is None else [self.mask]))

    @property
    def images(self) -> tuple[Path, ...]:
        """The files of the image."""
        return self.image, *self.channels

    @property
    def is_labelled(self) -> bool:
        """Whether there is a label."""
        return self.label is not None


def patient_name(text: str) -> str:
    """Return the one form of a patient's name or number in all tables.

    3, 3.0 and 003 are one patient, since table programs change one into the other, and so are p1, P1 and p 1. If they
    are two in a dataset after all, their images are merely kept together.
    """
    text = "".join(unicodedata.normalize("NFKC", text).split())
    text = unicodedata.normalize("NFKC", text.casefold())
    return str(int(Decimal(text))) if WHOLE_NUMBER.fullmatch(text) else text


@dataclass(frozen=True)
class Dataset:
    """Lists the cases of a dataset.

    Args:
        root: Folder or table that defines the cases.
        name: Name of the dataset.
        spatial_dims: 3 for volumes, 2 for photographs.
        modalities: Name of each image channel, e.g. `("CT",)`.
        labels: Kind of the labels.
        label_names: Name of each label value, sorted by value; in label maps 0 is the background. Empty if labels are
            not maps or classes, or if the values of label maps are not declared; they are then read from the maps.
        cases: All cases, sorted by id.
        label_maps: Files among loose images that are label maps by their names, and therefore no images.
    """

    root: Path
    name: str
    spatial_dims: Literal[2, 3]
    modalities: tuple[str, ...]
    labels: Labels
    label_names: dict[int, str]
    cases: tuple[Case, ...]
    label_maps: tuple[Path, ...] = ()

    def without_labels(self) -> Self:
        """Return the same images without labels, as a pool for pretraining."""
        cases = tuple(replace(case, label=None, patient=None) for case in self.cases)
        return replace(self, cases=cases, labels="none", label_names={})
