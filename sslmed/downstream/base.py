"""What downstream tasks share: the pretrained encoder, its warm-up, the optimizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler

from sslmed.encoders import Encoder, load_encoder
from sslmed.evaluation.metrics import Kind, best_is
from sslmed.learning.batch_means import BatchMeans
from sslmed.learning.distributed import merge
from sslmed.learning.optimization import Schedule, configure_optimizers, default_optimizer
from sslmed.preparation.store import Store


class DownstreamTask(LightningModule):
    """Fine-tunes an encoder, which may be pretrained.

    Only a loaded encoder is ever frozen: freezing random weights would handicap the baseline. Frozen means no gradients
    *and* evaluation mode, so that the running statistics of batch normalisation, and dropout, stand still too.

    Args:
        encoder: The encoder, also the network's contracting path.
        pretrained: Checkpoint of a pretraining run to take the encoder from; `None` starts from random weights.
        frozen_fraction: Fraction of training during which a loaded encoder stays frozen.
        optimizer: Builds the optimizer from parameters.
        schedule: Learning-rate schedule, per update.
        adapt_channels: Take a checkpoint pretrained on images of another number of channels; see `load_encoder`.

    Attributes:
        test_rows: After a test run, one row per case, of all ranks.

    Raises:
        UserError: If the checkpoint does not fit the encoder tensor by tensor.
    """

    monitor = "val/loss"
    kind: Kind  # what test rows hold
    prediction_writer: Callable[[Path], Callback]  # given the run's folder

    def __init__(
        self,
        encoder: Encoder,
        pretrained: Path | None = None,
        frozen_fraction: float = 0.0,
        optimizer: OptimizerCallable = default_optimizer,
        schedule: Schedule = "one_cycle",
        *,
        adapt_channels: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pretrained = pretrained
        self.frozen_fraction = frozen_fraction
        self.encoder_is_frozen = False
        self._optimizer = optimizer
        self._schedule = schedule
        self._validation = BatchMeans()
        self.test_rows: list[dict[str, Any]] = []
        if pretrained is not None:
            load_encoder(encoder, pretrained, adapt_channels)

    @property
    def monitor_mode(self) -> str:
        """Which value of `monitor` is the best: `min` or `max`."""
        return best_is(self.monitor)

    @property
    def can_freeze(self) -> bool:
        """Whether the encoder is frozen for a part of training."""
        return self.pretrained is not None and self.frozen_fraction > 0

    def freeze_encoder(self, frozen: bool) -> None:
        """Freeze the encoder or unfreeze it."""
        self.encoder_is_frozen = frozen
        self.encoder.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.eval()
        return self

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, ARG002
        """Freeze or unfreeze by the update's number, so that a resumed run does the same."""
        frozen_updates = self.frozen_fraction * self.trainer.estimated_stepping_batches
        frozen = self.can_freeze and self.global_step < frozen_updates
        if frozen != self.encoder_is_frozen:
            self.freeze_encoder(frozen)

    def write_examples(self, store: Store, scores: pd.DataFrame, path: Path) -> None:
        """Keep a few test cases with what became of them, to look at; a task without pictures keeps none.

        Args:
            store: Where the test cases are.
            scores: One row per test case.
            path: File to write.
        """

    def on_test_start(self) -> None:
        """Forget the cases of an earlier test run."""
        self.test_rows = []

    def on_test_epoch_end(self) -> None:
        """Put the cases of all ranks together."""
        self.test_rows = list(merge({row["case"]: row for row in self.test_rows}).values())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over all parameters, for the whole run."""
        return configure_optimizers(self, self._optimizer, self._schedule)
