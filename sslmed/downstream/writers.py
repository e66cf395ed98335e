"""Lightning callbacks that write what `sslmed predict` answers."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter

from sslmed.core.files import TEMPORARY, atomic_path
from sslmed.data.samples import Sample

log = logging.getLogger(__name__)


class WriteSegmentations(BasePredictionWriter):
    """Writes every predicted segmentation as NIfTI on the original voxel grid, with the original affine.

    Args:
        run: Folder of the run; the files are `predictions/<case>.nii.gz` in it.
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
            path = self.folder / f"{case}.nii.gz"
            partial = path.with_name(f"{case}{TEMPORARY}.nii.gz")
            image: nibabel.Nifti1Image = nibabel.Nifti1Image(labels, geometry.affine)  # type: ignore[no-untyped-call]
            nibabel.save(image, partial)
            partial.replace(path)
            log.info("wrote %s", path)


class WriteClassifications(BasePredictionWriter):
    """Writes the predicted classes of all cases, with their probabilities, as one table.

    Args:
        run: Folder of the run; the file is `predictions.csv` in it.
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary:
            table.to_csv(temporary, index=False)
        log.info("wrote %s", self.path)
