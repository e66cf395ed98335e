"""Loads labelled images for downstream tasks: with label maps, classes or values."""

from pathlib import Path
from statistics import fmean, pstdev
from typing import Literal

from sslmed.core.numbers import Fraction
from sslmed.data.fold import LabelledData
from sslmed.data.regions import brain_tumour_regions


class SegmentationData(LabelledData):
    """Loads images with label maps.

    Args:
        regions: Scheme of overlapping regions that are scored in addition to the classes. `brain_tumour` builds whole
            tumour, tumour core and enhancing tumour from the classes, by their names.
        foreground_fraction: Fraction of training crops, if there are any, that are centred on a random voxel of a
            random foreground class of the case. Default as in nnU-Net (https://doi.org/10.1038/s41592-020-01008-z).
        kwargs: See `LabelledData`.

    Attributes:
        label_values: Values of the labels in the original files, background first. Linked to the model.
        region_classes: Name of each region -> its class indices. Linked to the model.

    Raises:
        UserError: If the names of the classes do not identify their regions.
    """

    label = "map"

    def __init__(
        self,
        store: Path,
        regions: Literal["brain_tumour"] | None = None,
        foreground_fraction: Fraction = 0.33,
        **kwargs: object,
    ) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        self.foreground_fraction = foreground_fraction
        self.label_values = self.store.label_values
        self.region_classes = None if regions is None else brain_tumour_regions(self.store.label_names)


class ClassificationData(LabelledData):
    """Loads images with one class each.

    Attributes:
        num_classes: Number of classes. Linked to the model.
    """

    label = "class"

    def __init__(self, store: Path, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        self.num_classes = self.store.num_classes


class RegressionData(LabelledData):
    """Loads images with one value each.

    Attributes:
        target_mean: Mean value of the training cases whose labels may be used. Linked to the model.
        target_scale: Their standard deviation, or 1 if that is 0. Linked to the model.
    """

    label = "value"

    def __init__(self, store: Path, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        values = [self.store.value(case) for case in self.training_cases]
        self.target_mean = fmean(values)
        self.target_scale = pstdev(values) or 1.0
