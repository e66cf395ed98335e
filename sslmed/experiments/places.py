"""Where an experiment's runs and prepared datasets lie."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.experiments.seen import SeenData
from sslmed.preparation.readers.dataset import Labels


@dataclass(frozen=True)
class LabelledSource:
    """Describes another labelled dataset, whose labels the arm `supervised` is pretrained on.

    Attributes:
        name: Its name in tables.
        store: The prepared dataset.
        labels: Kind of its labels.
    """

    name: str
    store: Path
    labels: Labels


@dataclass(frozen=True)
class Places:
    """Holds the paths of an experiment.

    Attributes:
        work: The experiment's directory, which holds the run directories.
        store: The prepared dataset.
        pool: The prepared external pool, for arms that use one.
        source: The labelled dataset of the arm `supervised`.
        spatial_dims: Dimensions of the images. A preset's 2-D settings apply to photographs and to slices of volumes.
        seen: What runs see of the data, if it is here.
    """

    work: Path
    store: Path
    pool: Path | None = None
    source: LabelledSource | None = None
    spatial_dims: int = 3
    seen: SeenData | None = None
