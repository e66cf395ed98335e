"""Lightning callbacks that every run has: reproducible updates, and the record of its validation passes."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter

from sslmed.data.samples import Sample
from sslmed.distributed import rank
from sslmed.files import TEMPORARY, atomic_path

log = logging.getLogger(__name__)


class SeedUpdates(Callback):
    """Derives all that is random in update t, dropout included, from (seed, t, rank), so that resuming changes nothing.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, ARG002
        """Seed the global generators of all devices."""
        # SeedSequence, because the CPU generator uses 32 bits of its seed: shifting one number past the other loses it.
        # Zeros at the end change nothing there: rank 0 draws what a single process does.
        entropy = np.random.SeedSequence([self.seed, trainer.global_step, rank()])
        seed = int(entropy.generate_state(1)[0])
        if trainer.strategy.root_device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed notes for GPUs from where it was called: 2 ms
        else:
            torch.manual_seed(seed)


class History(Callback):
    """Keeps one row of metrics per validation pass, in the checkpoint and in metrics.csv.

    Args:
        path: Where metrics.csv is written.

    Attributes:
        rows: `update`, `seconds` (training time so far, over all resumptions) and the logged metrics.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._earlier_seconds = 0.0
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent on this run so far, what was lost in interruptions not counted."""
        return self._earlier_seconds + time.monotonic() - self._start

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Record the stretch of updates that ends here."""
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append({"update": trainer.global_step, "seconds": round(self.seconds, 2), **metrics})
        if not trainer.is_global_zero:
            return
        with atomic_path(self.path) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        log.info("update %d of %d  %s", trainer.global_step, int(trainer.estimated_stepping_batches), shown)

    def state_dict(self) -> dict[str, Any]:
        """Goes into the checkpoint."""
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Comes from the checkpoint of the interrupted run."""
        self.rows = state_dict["rows"]
        self._earlier_seconds = state_dict["seconds"]


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
