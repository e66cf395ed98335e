"""Lightning callbacks that write the predictions of `sslmed predict`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter

from sslmed.core.files import TEMPORARY
from sslmed.core.tables import write_table
from sslmed.core.text import path_of
from sslmed.data.samples import Sample
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.readers.itk import write_labels
from sslmed.preparation.readers.names import ITK
from sslmed.preparation.readers.nifti_header import mask_image

MASKS = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Endings of the files of masks of volumes."""

log = logging.getLogger(__name__)


class WriteSegmentations(BasePredictionWriter):
    """Writes segmentations on the original grid: NIfTI that lies where the original does, or PNG for photographs.

    Args:
        run: Folder of the run. The files in it are `predictions/<case>.nii.gz` or `predictions/<case>.png`.
    """

    def __init__(self, run: Path) -> None:
        super().__init__("batch")
        self.folder = run / "predictions"

    def write_on_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        prediction: Sequence[np.ndarray[Any, Any]],
        batch_indices: Sequence[int] | None,  # noqa: ARG002
        batch: Sample,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int,  # noqa: ARG002
    ) -> None:
        """Write the segmentations of one batch."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for case, geometry, labels in zip(batch["case"], batch["geometry"], prediction, strict=True):
            path = self.folder / f"{case}{'.png' if labels.ndim == 2 else '.nii.gz'}"
            write_map(path, labels, geometry)
            log.info("wrote %s", path)


def write_map(path: Path, voxels: np.ndarray[Any, Any], geometry: Geometry) -> None:
    """Write a segmentation, or one number for each voxel, atomically.

    Args:
        path: A file of one of the `MASKS`, or of a photograph a `.png` or `.tif` file.
        voxels: `(*original)`.
        geometry: Of the image.
    """
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    partial = path.with_name(f"{path.name.removesuffix(ending)}{TEMPORARY}{ending}")
    try:
        if voxels.ndim == 2:
            Image.fromarray(voxels).save(partial)
        elif ending in ITK:
            write_labels(partial, voxels, geometry.affine)
        else:
            nibabel.save(mask_image(voxels, geometry.affine, geometry.header), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class WriteTable(BasePredictionWriter):
    """Writes the predictions for all cases to one table, one row per case.

    Args:
        run: Folder of the run. The file in it is `predictions.csv`.
    """

    def __init__(self, run: Path) -> None:
        super().__init__("epoch")
        self.path = run / "predictions.csv"

    def write_on_epoch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        predictions: Sequence[Sequence[dict[str, Any]]],
        batch_indices: Sequence[Any] | None,  # noqa: ARG002
    ) -> None:
        """Write the rows of all batches."""
        table = pd.DataFrame([row for batch in predictions for row in batch]).sort_values("case")
        table["case"] = table["case"].map(path_of)
        write_table(self.path, table)
        log.info("wrote %s", self.path)
