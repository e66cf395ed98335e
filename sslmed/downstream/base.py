"""Base class of downstream tasks: loads the pretrained encoder, freezes it for the warm-up, sets the optimizer up."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pytorch_lightning import Callback
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import Parameter

from sslmed.core.errors import InputError
from sslmed.core.numbers import Fraction
from sslmed.data.samples import Sample
from sslmed.downstream.inference import Network, apply_whole, mean_over
from sslmed.downstream.unfreezing import count_frozen, stages
from sslmed.encoders import Encoder, load_encoder
from sslmed.encoders.checkpoint import load_decoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.weights_file import check_finished, find_weights
from sslmed.evaluation.metrics import Kind, best_is
from sslmed.learning.batch_means import BatchMeans
from sslmed.learning.convolutions import correct_convolutions
from sslmed.learning.distributed import merge
from sslmed.learning.learner import Learner
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
        frozen_fraction: Fraction of training during which a loaded encoder stays frozen. 1 trains the rest alone, a
            probe of the encoder, also of one with random weights.
        unfreezing_fraction: Fraction of training after that in which the encoder's stages are unfrozen one by one,
            the coarsest first; 0 unfreezes all at once. Source: https://arxiv.org/abs/1801.06146, section 3.3.
        layer_decay: Factor on the learning rate of a loaded encoder from each stage to the one before it, and from the
            decoder or head to the last stage; 1 trains all at the same rate. Source: the same, section 3.2.
        key_map: Start of a tensor's name in a file from elsewhere -> what replaces it, as `{"backbone.": "encoder."}`.
        transductive: Accept a checkpoint that was pretrained on images of the test cases. Results and figure say it.

    Raises:
        InputError: If a fraction or the factor is out of range.
    """

    checkpoint: Path | None = None
    load: Literal["encoder", "all"] = "encoder"
    adapt_channels: bool = False
    frozen_fraction: Fraction = 0.0
    unfreezing_fraction: Fraction = 0.0
    layer_decay: float = 1.0
    key_map: dict[str, str] | None = None
    transductive: bool = False

    def __post_init__(self) -> None:
        parts = (self.frozen_fraction, self.unfreezing_fraction)
        if min(parts) < 0 or sum(parts) > 1:
            raise InputError(
                "frozen_fraction and unfreezing_fraction must be 0 or more, and at most 1 together, got "
                f"{parts[0]} and {parts[1]}"
            )
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay must be above 0 and at most 1, got {self.layer_decay}")


RANDOM = Pretrained()
"""Random weights."""


class DownstreamTask(Learner):
    """Fine-tunes an encoder, pretrained or not, on labelled cases.

    A loaded encoder can stay frozen for the first updates, as in https://arxiv.org/abs/2006.03829. Random weights are
    not, which would handicap the baseline, unless encoders are frozen to the end. Frozen means no gradients *and*
    evaluation mode, so that the running statistics of batch normalisation do not change and dropout is off.

    Args:
        encoder: The encoder, also the network's contracting path.
        pretrained: Where the weights come from.
        optimization: How weights are updated.
        decoder: The network's expanding path, if it has one.

    Attributes:
        test_rows: After a test run, one row per case, from all ranks.

    Raises:
        UserError: If the names or shapes of the checkpoint's tensors differ from the encoder's, or its run has not
            finished.
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
        self.encoder = correct_convolutions(encoder)
        self.pretrained = pretrained
        self.optimization = optimization
        self.stages = stages(encoder)
        self.n_frozen = 0  # of the stages
        self._validation = BatchMeans()
        self.test_rows: list[dict[str, Any]] = []
        if decoder is not None:
            self.decoder = decoder
        elif pretrained.load == "all":
            raise InputError(f"{type(self).__name__} has no decoder to load: set pretrained.load to encoder")
        if pretrained.checkpoint is not None:
            check_finished(pretrained.checkpoint)
            load_encoder(encoder, pretrained.checkpoint, pretrained.adapt_channels, pretrained.key_map)
            if decoder is not None and pretrained.load == "all":
                load_decoder(decoder, pretrained.checkpoint, pretrained.key_map)

    @property
    def window(self) -> Sequence[int] | None:
        """Sides in voxels of the windows in which it is applied to whole images; `None` to apply it to all at once."""
        return None

    @abstractmethod
    def outputs(self, images: Tensor) -> Tensor:
        """Compute what is averaged over networks: class probabilities `(B, K[, *spatial])`, or values `(B,)`."""

    def infer(self, images: Tensor, others: Sequence["DownstreamTask"] = (), *, flips: bool = False) -> Tensor:
        """Compute the outputs of whole images, in the way that the network was trained.

        Args:
            images: `(B, C, *spatial)`. For a 2-D network they may be volumes.
            others: Other networks, to take the mean over all; they must have the same window.
            flips: Take the mean over flipped images, too.

        Returns:
            See `outputs`; where the images are, which may be on another device than the network.
        """
        outputs = [task.outputs for task in (self, *others)]
        return self.apply_whole(mean_over(outputs, self.encoder.spatial_dims, flips=flips), images)

    def apply_whole(self, network: Network, images: Tensor) -> Tensor:
        """Apply something to whole images in the way that the network was trained; see `infer`."""
        device = next(self.parameters()).device  # `self.device` does not change if a module around it is moved
        return apply_whole(network, images, self.encoder.spatial_dims, window=self.window, device=device)

    @property
    def monitor_mode(self) -> str:
        """Whether the best value of `monitor` is the smallest or the largest: `min` or `max`."""
        return best_is(self.monitor)

    @property
    def is_probe(self) -> bool:
        """Whether the encoder is frozen to the end."""
        return self.pretrained.frozen_fraction == 1

    @property
    def can_freeze(self) -> bool:
        """Whether the encoder is frozen during a part of training."""
        fractions = self.pretrained.frozen_fraction, self.pretrained.unfreezing_fraction
        return self.is_probe or (self.pretrained.checkpoint is not None and max(fractions) > 0)

    def freeze_stages(self, number: int) -> None:
        """Freeze the first `number` stages of the encoder, and unfreeze the others."""
        self.n_frozen = number
        self.encoder.requires_grad_(number == 0)  # also parameters that are in no stage
        for stage in self.stages[number:]:
            stage.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        if self.n_frozen == len(self.stages):
            self.encoder.eval()
        for stage in self.stages[: self.n_frozen]:
            stage.eval()
        return self

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, ARG002
        """Freeze or unfreeze depending on the number of updates so far, so that a resumed run does the same."""
        if not self.can_freeze:
            return
        progress = self.global_step / self.trainer.estimated_stepping_batches
        pretrained = self.pretrained
        frozen = count_frozen(len(self.stages), progress, pretrained.frozen_fraction, pretrained.unfreezing_fraction)
        if frozen != self.n_frozen:
            self.freeze_stages(frozen)

    @property
    def learning_rate_factors(self) -> list[tuple[list[Parameter], float]]:
        """Parameters with the factor of their learning rate; a loaded encoder's stages have their own."""
        if self.pretrained.checkpoint is None or self.pretrained.layer_decay == 1:
            return [([*self.parameters()], 1.0)]
        factors = dict.fromkeys(self.parameters(), 1.0)
        depth = len(self.stages)
        factors |= dict.fromkeys(self.encoder.parameters(), self.pretrained.layer_decay**depth)
        for index, stage in enumerate(self.stages):
            decayed = self.pretrained.layer_decay ** (depth - index)
            factors |= dict.fromkeys(stage.parameters(), decayed)
        groups: dict[float, list[Parameter]] = {}
        for parameter, factor in factors.items():
            groups.setdefault(factor, []).append(parameter)
        return [(parameters, factor) for factor, parameters in groups.items()]

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

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        """Add a row for each case to `test_rows`: its truth, and the row that `predict_step` returns."""
        for truth, answer in zip(batch["label"].tolist(), self.predict_step(batch, batch_idx), strict=True):
            self.test_rows.append({"case": answer["case"], "truth": truth, **answer})

    def on_test_epoch_end(self) -> None:
        """Merge the rows of all ranks."""
        self.test_rows = list(merge({row["case"]: row for row in self.test_rows}).values())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over all parameters, for the whole run."""
        return self.optimization.configure(self, self.learning_rate_factors, self.pretrained.frozen_fraction)
