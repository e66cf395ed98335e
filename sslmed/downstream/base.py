"""Base class of downstream tasks: loads the pretrained encoder, freezes it for the warm-up, sets the optimizer up."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler

from sslmed.core.errors import InputError
from sslmed.encoders import Encoder, load_encoder
from sslmed.encoders.checkpoint import load_decoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.weights_file import find_weights
from sslmed.evaluation.metrics import Kind, best_is
from sslmed.learning.batch_means import BatchMeans
from sslmed.learning.distributed import merge
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.preparation.store import Store


@dataclass(frozen=True)
class Pretrained:
    """The weights that fine-tuning starts from.

    Args:
        checkpoint: Checkpoint of a pretraining run, an export, or a file of tensors from elsewhere; `None` starts from
            random weights.
        load: `encoder`, or `all` for the decoder too, except its last layer. `all` needs a pretrained decoder.
        adapt_channels: Accept a checkpoint pretrained on images with another number of channels; see `load_encoder`.
        frozen_fraction: Fraction of training during which a loaded encoder stays frozen.
        key_map: Start of a tensor's name in a file from elsewhere -> what replaces it, as `{"backbone.": "encoder."}`.
    """

    checkpoint: Path | None = None
    load: Literal["encoder", "all"] = "encoder"
    adapt_channels: bool = False
    frozen_fraction: float = 0.0
    key_map: dict[str, str] | None = None


RANDOM = Pretrained()
"""Random weights."""


class DownstreamTask(LightningModule):
    """Fine-tunes an encoder, pretrained or not, on labelled cases.

    A loaded encoder can stay frozen for the first updates, as in https://arxiv.org/abs/2006.03829. Random weights are
    never frozen: that would handicap the baseline. Frozen means no gradients *and* evaluation mode, so that the running
    statistics of batch normalisation do not change and dropout is off.

    Args:
        encoder: The encoder, also the network's contracting path.
        pretrained: Where the weights come from.
        optimization: How weights are updated.
        decoder: The network's expanding path, if it has one.

    Attributes:
        test_rows: After a test run, one row per case, from all ranks.

    Raises:
        UserError: If the names or shapes of the checkpoint's tensors differ from the encoder's.
        InputError: If `pretrained.load` is `all` and the network has no decoder.
    """

    monitor = "val/loss"
    kind: Kind  # decides which columns test rows have
    decoder: UNetDecoder
    prediction_writer: Callable[[Path], Callback]  # given the run's folder

    def __init__(
        self,
        encoder: Encoder,
        pretrained: Pretrained = RANDOM,
        optimization: Optimization = DEFAULT,
        *,
        decoder: UNetDecoder | None = None,
    ) -> None:
        super().__init__()
        if pretrained.checkpoint is not None:
            pretrained = replace(pretrained, checkpoint=find_weights(pretrained.checkpoint))
        self.encoder = encoder
        self.pretrained = pretrained
        self.optimization = optimization
        self.encoder_is_frozen = False
        self._validation = BatchMeans()
        self.test_rows: list[dict[str, Any]] = []
        if decoder is not None:
            self.decoder = decoder
        elif pretrained.load == "all":
            msg = f"{type(self).__name__} has no decoder to load: set pretrained.load to encoder"
            raise InputError(msg)
        if pretrained.checkpoint is not None:
            load_encoder(encoder, pretrained.checkpoint, pretrained.adapt_channels, pretrained.key_map)
            if decoder is not None and pretrained.load == "all":
                load_decoder(decoder, pretrained.checkpoint, pretrained.key_map)

    @property
    def monitor_mode(self) -> str:
        """Whether the best value of `monitor` is the smallest or the largest: `min` or `max`."""
        return best_is(self.monitor)

    @property
    def can_freeze(self) -> bool:
        """Whether the encoder is frozen during the first part of training."""
        return self.pretrained.checkpoint is not None and self.pretrained.frozen_fraction > 0

    def freeze_encoder(self, frozen: bool) -> None:
        """Freeze or unfreeze the encoder."""
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
        """Freeze or unfreeze depending on the number of updates so far, so that a resumed run does the same."""
        frozen_updates = self.pretrained.frozen_fraction * self.trainer.estimated_stepping_batches
        frozen = self.can_freeze and self.global_step < frozen_updates
        if frozen != self.encoder_is_frozen:
            self.freeze_encoder(frozen)

    def write_examples(self, store: Store, scores: pd.DataFrame, path: Path) -> None:
        """Save a few test cases with their predictions for the report. The default saves none.

        Args:
            store: The prepared dataset that holds the test cases.
            scores: One row per test case.
            path: File to write.
        """

    def on_test_start(self) -> None:
        """Clear the rows of an earlier test run."""
        self.test_rows = []

    def on_test_epoch_end(self) -> None:
        """Merge the rows of all ranks."""
        self.test_rows = list(merge({row["case"]: row for row in self.test_rows}).values())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over all parameters, for the whole run."""
        return self.optimization.configure(self)
