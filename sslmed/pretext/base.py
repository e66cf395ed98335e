"""What pretext tasks share: an encoder to train, a task made of unlabelled images, a loss, the wiring to Lightning."""

import math
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable
from sslmed.learning.batch_means import BatchMeans
from sslmed.learning.distributed import gather, rank, world_size
from sslmed.learning.optimization import Schedule, configure_optimizers, default_optimizer

Targets = TypeVar("Targets", Tensor, None)
"""What the outputs are compared with: class indices, or nothing where they are compared with each other."""


class PretextTask(LightningModule, ABC, Generic[Targets]):
    """Trains an encoder on unlabelled images.

    A new task sets `self.head`, and says in `make_task` what the network sees, in `loss` what it should have answered,
    and in `chance_loss` what a network pays that knows nothing. None of these needs a Trainer.

    Args:
        encoder: The encoder to train; checkpoints hold its weights under `encoder.`.
        optimizer: Builds the optimizer from the parameters.
        schedule: Course of the learning rate: `constant`, `cosine` or `one_cycle`.
    """

    head: nn.Module
    monitor = "val/loss"  # what the best checkpoint is chosen by
    monitor_mode = "min"

    def __init__(
        self,
        encoder: Encoder,
        optimizer: OptimizerCallable = default_optimizer,
        schedule: Schedule = "one_cycle",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.optimizer = optimizer
        self.schedule = schedule
        self._validation = BatchMeans()

    @abstractmethod
    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Targets]:
        """Turn a batch of images into inputs of the network and its targets; all that is random happens here.

        Args:
            images: `(B, C, *spatial)`, each of another case: in training on several devices, the rank's share.
            generator: Random numbers, on the images' device; `None` draws from the global generator.

        Returns:
            Inputs `(B, C, *spatial)` or `(B, P, C, *spatial)`, P images per case, and targets `(B,)` or `None`.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Mean loss of a batch, given what `forward` returned and `make_task` asked for."""

    @abstractmethod
    def chance_loss(self, batch_size: int) -> float:
        """Value of `loss` for a network that knows nothing about a batch of `batch_size` cases."""

    def measures(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:  # noqa: ARG002 - for subclasses
        """What validation logs beside the loss, by name."""
        return {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode every image by the one encoder and let the head answer from all of a case together.

        Args:
            inputs: `(B, C, *spatial)` or `(B, P, C, *spatial)`.

        Returns:
            `(B, out_features)`.
        """
        outputs: Tensor = self.head(self.encode(inputs))
        return outputs

    def encode(self, inputs: Tensor) -> Tensor:
        """Coarsest feature map of every image: `(B, C, *spatial)` or `(B, P, C, *spatial)` to `(B·P, F, *coarse)`."""
        images = inputs.flatten(0, -self.encoder.spatial_dims - 2)  # a no-op where there is no P
        maps: list[Tensor] = self.encoder(images.to(self.dtype))
        return maps[-1]

    def of_all_ranks(self, share: Tensor) -> Tensor:
        """Give the whole batch `(B, …)`, this rank's share first; gradients flow back to the others' shares.

        Contrastive tasks need it. Only batches of training are divided: those of validation are whole on one rank.
        """
        return gather(share) if self.training else share

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """Loss of a fresh random task."""
        images: Tensor = batch["image"]
        inputs, targets = self._make_task(images)
        loss = self.loss(self(inputs), targets)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Measure loss, chance loss and more of a task that is the same in every epoch, and on whichever rank."""
        images: Tensor = batch["image"]
        number = batch_idx * world_size() + rank()
        inputs, targets = self._make_task(images, torch.Generator(images.device).manual_seed(number))
        outputs = self(inputs)
        measured: dict[str, Tensor | float] = {
            "loss": self.loss(outputs, targets),
            "chance_loss": self.chance_loss(len(images)),
            **self.measures(outputs, targets),
        }
        self._validation.add(batch["case"], measured)

    def _make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Targets]:
        with torch.autocast(
            images.device.type, enabled=False
        ):  # images keep their precision, as a CPU's mixing requires
            return self.make_task(images, generator)

    def on_validation_epoch_end(self) -> None:
        """Log the means over all validation cases."""
        self.log_dict({f"val/{name}": value for name, value in self._validation.means().items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Lightning's hook."""
        return configure_optimizers(self, self.optimizer, self.schedule)


class ClassificationTask(PretextTask[Tensor]):
    """A pretext task whose answer is one of `num_classes` classes: cross-entropy, and accuracy in validation.

    Args:
        encoder: See `PretextTask`.
        num_images: Images the head sees per case.
        num_classes: Number of possible answers, all equally likely.
        head: Builds the head from the encoder, `num_images` and `num_classes`.
        optimizer: See `PretextTask`.
        schedule: See `PretextTask`.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_images: int,
        num_classes: int,
        head: HeadCallable,
        optimizer: OptimizerCallable,
        schedule: Schedule,
    ) -> None:
        super().__init__(encoder, optimizer, schedule)
        self.num_classes = num_classes
        self.head = head(encoder, num_images, num_classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits `(B, num_classes)` and class indices `(B,)`."""
        return F.cross_entropy(outputs, targets)

    def chance_loss(self, batch_size: int) -> float:  # noqa: ARG002 - the same for all batches
        """Cross-entropy of the uniform distribution, ln(num_classes)."""
        return math.log(self.num_classes)

    def measures(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Share of right answers, as `accuracy`."""
        return {"accuracy": multiclass_accuracy(outputs, targets, num_classes=self.num_classes, average="micro")}
