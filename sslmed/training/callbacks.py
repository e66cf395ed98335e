"""Lightning callbacks of every run: a rehearsal, reproducible updates, and the record of validation passes."""

import logging
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar

from sslmed.core.seeds import derived_seed
from sslmed.core.tables import write_table
from sslmed.learning.distributed import rank
from sslmed.pretext.base import PretextTask
from sslmed.training.answers import draw_tasks, validation_batches

log = logging.getLogger(__name__)


class SeedUpdates(Callback):
    """Seeds update t, dropout included, from (seed, fold, t, rank), so that a resumed run gives the same numbers."""

    def __init__(self, seed: int, fold: int) -> None:
        self.seed = seed
        self.fold = fold

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, ARG002
        """Seed the global generators of all devices."""
        seed = derived_seed("update", self.seed, self.fold, trainer.global_step, rank())
        # torch.manual_seed would record a traceback for each kind of device that is missing, which takes 2 ms.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(seed)


class Rehearsal(Callback):
    """Tries with one batch, before training, what a pretext task does in validation and when its answers are drawn.

    What cannot work, e.g. a contrastive task with a single validation case, then fails at once.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and draw; the results are not used."""
        if not isinstance(pl_module, PretextTask):
            return
        images = next(validation_batches(trainer))["image"]
        training = pl_module.training
        pl_module.eval()
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            pl_module.measure(images, torch.Generator(images.device).manual_seed(0))
        pl_module.train(training)
        draw_tasks(trainer, answered=True)


class IntervalBar(TQDMProgressBar):
    """Lightning's progress bar, in our words: its epoch is the updates between two validation passes."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        """Start a new bar, and say which interval it is."""
        self.train_progress_bar.reset(self.total_train_batches)
        self.train_progress_bar.set_description(
            f"validation interval {trainer.current_epoch + 1} of {trainer.max_epochs}"
        )


class History(Callback):
    """Records one row of metrics per validation pass, in the checkpoint and in metrics.csv.

    Args:
        path: Path of metrics.csv.

    Attributes:
        rows: `update`, `seconds` (training time so far, including before interruptions) and the logged metrics.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._earlier_seconds = 0.0
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time of this run so far in seconds, without work that an interruption lost."""
        return self._earlier_seconds + time.monotonic() - self._start

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Record the validation interval that ends here."""
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append({"update": trainer.global_step, "seconds": round(self.seconds, 2), **metrics})
        if not trainer.is_global_zero:
            return
        write_table(self.path, pd.DataFrame(self.rows))
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        log.info("update %d of %d  %s", trainer.global_step, int(trainer.estimated_stepping_batches), shown)

    def state_dict(self) -> dict[str, Any]:
        """Return the part of the checkpoint that belongs to this callback."""
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the record from the checkpoint of an interrupted run."""
        self.rows = state_dict["rows"]
        self._earlier_seconds = state_dict["seconds"]
