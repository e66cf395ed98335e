"""What pretext tasks share: an encoder to train, a task made of unlabelled images, a loss, the wiring to Lightning."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, Readout
from sslmed.learning.batch_means import BatchMeans
from sslmed.learning.distributed import gather, rank, world_size
from sslmed.learning.optimization import DEFAULT, Optimization

Targets = TypeVar("Targets")
"""What outputs are compared with: a tensor of any shape, a tuple of tensors, or `None` if with each other."""


@dataclass(frozen=True)
class Answer:
    """What the network answered about one case, to be shown.

    Attributes:
        words: In words, as `class 3, answered 5`; the report and Weights & Biases show them below the picture.
        image: An image that is an answer, as of a task that reconstructs: `(C, *spatial)`, intensities 0 to 1.
    """

    words: str = ""
    image: Tensor | None = None


class PretextTask(LightningModule, ABC, Generic[Targets]):
    """Trains an encoder on unlabelled images.

    A new task says in `make_task` what the network sees, in `loss` what it should have answered, and in `answers` how
    to show what it did answer. It sets `self.head`, or overrides `forward`, e.g. to answer by a U-Net's decoder, which
    is handed over too if it is called `self.decoder`. None of these needs a Trainer.

    Args:
        encoder: The encoder to train; checkpoints hold its weights under `encoder.`.
        optimization: How weights are updated.
    """

    head: Readout
    monitor = "val/loss"  # what the best checkpoint is chosen by
    monitor_mode = "min"

    def __init__(self, encoder: Encoder, optimization: Optimization = DEFAULT) -> None:
        super().__init__()
        self.encoder = encoder
        self.optimization = optimization
        self._validation = BatchMeans()

    @abstractmethod
    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Targets]:
        """Turn a batch of images into inputs of the network and its targets; all that is random happens here.

        Args:
            images: `(B, C, *spatial)`, each of another case: in training on several devices, the rank's share.
            generator: Random numbers, on the images' device; `None` draws from the global generator.

        Returns:
            Inputs `(B, C, *spatial)` or `(B, P, C, *spatial)`, P images per case, and targets: whatever `loss` takes.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Mean loss of a batch, given what `forward` returned and `make_task` asked for."""

    def chance_answer(self, outputs: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002 - for subclasses
        """What a network would answer that knows nothing about the images: by default zeros.

        They are logits that are all equal, or embeddings that are. A task that reconstructs gives the best constant of
        the batch instead, such as the mean of its targets.

        Args:
            outputs: What `forward` returned, `(B, …)`; only the shape matters.
            targets: What `make_task` asked for.

        Returns:
            An answer of the shape of `outputs`.
        """
        return torch.zeros_like(outputs, dtype=torch.float32)

    def chance_loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Value of `loss` for `chance_answer`: a network that does not get below it has learned nothing."""
        return self.loss(self.chance_answer(outputs, targets), targets)

    def measures(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:  # noqa: ARG002 - for subclasses
        """What validation logs beside the loss, by name."""
        return {}

    def answers(self, outputs: Tensor, targets: Targets) -> list[Answer]:  # noqa: ARG002 - for subclasses
        """Say for each case what the network answered; by default nothing."""
        return [Answer()] * len(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode every image by the one encoder and let the head answer from all of a case together.

        Args:
            inputs: `(B, C, *spatial)` or `(B, P, C, *spatial)`.

        Returns:
            `(B, …)`: what `loss` takes.
        """
        return self.head(self.encode(inputs))

    def encode(self, inputs: Tensor) -> list[Tensor]:
        """Feature maps of every image, finest first: `(B, P, C, *spatial)` to `(B·P, C_i, *spatial_i)` per level.

        Args:
            inputs: `(B, P, C, *spatial)`, or `(B, C, *spatial)` where there is one image per case.
        """
        images = inputs.flatten(0, -self.encoder.spatial_dims - 2)  # a no-op where there is no P
        maps: list[Tensor] = self.encoder(images.to(self.dtype))
        return maps

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
            "chance_loss": self.chance_loss(outputs, targets),
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
        return self.optimization.configure(self)


class ClassificationTask(PretextTask[Tensor]):
    """A pretext task whose answer is one of `num_classes` classes: cross-entropy, and accuracy in validation.

    An answer by chance, all classes being equally likely, costs ln(num_classes).

    Args:
        encoder: See `PretextTask`.
        num_images: Images the head sees per case.
        num_classes: Number of possible answers, all equally likely.
        head: Builds the head from the encoder, `num_images` and `num_classes`.
        optimization: See `PretextTask`.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_images: int,
        num_classes: int,
        head: HeadCallable,
        optimization: Optimization,
    ) -> None:
        super().__init__(encoder, optimization)
        self.num_classes = num_classes
        self.head = head(encoder, num_images, num_classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits `(B, num_classes)` and class indices `(B,)`."""
        return F.cross_entropy(outputs, targets)

    def measures(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Fraction of right answers, as `accuracy`."""
        return {"accuracy": multiclass_accuracy(outputs, targets, num_classes=self.num_classes, average="micro")}

    def answers(self, outputs: Tensor, targets: Tensor) -> list[Answer]:
        """True class, and the one that the network holds for the likeliest."""
        probabilities, classes = outputs.float().softmax(1).max(1)
        return [
            Answer(f"class {target}, answered {answer} with a probability of {probability:.2f}")
            for target, answer, probability in zip(
                targets.tolist(), classes.tolist(), probabilities.tolist(), strict=True
            )
        ]
