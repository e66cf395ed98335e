"""Base classes of the pretext tasks: they train an encoder with Lightning on tasks made from unlabelled images."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from sslmed.core.errors import InputError
from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, Readout
from sslmed.learning.batch_means import BatchMeans
from sslmed.learning.convolutions import correct_convolutions
from sslmed.learning.distributed import gather, rank, world_size
from sslmed.learning.learner import Learner
from sslmed.learning.optimization import DEFAULT, Optimization

Targets = TypeVar("Targets")
"""Targets of the loss: a tensor of any shape, a tuple of tensors, or `None` if the outputs are compared."""


ONE_CASE = (
    ": add labelled cases, of which a fifth are for validation (10 in 5 folds are enough), take batches of 2 or more, "
    "or leave this task out"
)
"""What to do where a task compares cases, and a batch or the validation set has one."""


@dataclass(frozen=True)
class Answer:
    """Holds the network's answer for one case, for the report and Weights & Biases.

    Attributes:
        words: The answer in words, e.g. `class 3, answered 5`. It is shown below the picture.
        image: The answer as an image, e.g. a reconstruction: `(C, *spatial)`, intensities in [0, 1].
    """

    words: str = ""
    image: Tensor | None = None


class PretextTask(Learner, Generic[Targets]):
    """Trains an encoder on unlabelled images.

    A new task implements `make_task` (inputs and targets), `loss`, and `answers` (how to show the outputs). It sets
    `self.head`, or overrides `forward`, e.g. to use a U-Net's decoder. A decoder named `self.decoder` is handed over to
    fine-tuning together with the encoder. These methods work without a Trainer.

    Args:
        encoder: The encoder to train. Checkpoints store its weights under `encoder.`.
        optimization: Optimizer and learning-rate schedule.
    """

    head: Readout
    monitor = "val/loss"  # selects the best checkpoint
    monitor_mode = "min"
    least_cases = 1
    """Cases that a batch must have: 2 where they are compared."""

    def __init__(self, encoder: Encoder, optimization: Optimization = DEFAULT) -> None:
        super().__init__()
        self.encoder = correct_convolutions(encoder)
        self.optimization = optimization
        self._validation = BatchMeans()

    @abstractmethod
    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Targets]:
        """Turn a batch of images into inputs and targets of the network. All randomness is here.

        Args:
            images: `(B, C, *spatial)`, each from a different case. In training on several devices, this rank's part of
                the batch.
            generator: Random number generator on the images' device. `None` uses the global generator.

        Returns:
            Inputs `(B, C, *spatial)`, or `(B, P, C, *spatial)` with P images per case; and the targets for `loss`.

        Raises:
            InputError: If the task cannot use the images, e.g. because they are too small.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Compute the mean loss of a batch.

        Args:
            outputs: Output of `forward`, `(B, …)`.
            targets: Targets from `make_task`.

        Returns:
            The loss, `()`.
        """

    def chance_answer(self, outputs: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002 - for subclasses
        """Return the outputs of a network that knows nothing about the images: zeros by default.

        Zeros are equal logits, or equal embeddings. A task that reconstructs returns the best constant of the batch
        instead, e.g. the mean of its targets.

        Args:
            outputs: Output of `forward`, `(B, …)`. Only the shape is used, and what is no answer, e.g. a teacher's.
            targets: Targets from `make_task`.

        Returns:
            A tensor with the shape of `outputs`.
        """
        return torch.zeros_like(outputs, dtype=torch.float32)

    def chance_loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Compute the loss `()` of `chance_answer`. A network that stays above it has learned nothing."""
        return self.loss(self.chance_answer(outputs, targets), targets)

    def measures(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:  # noqa: ARG002 - for subclasses
        """Return what validation logs in addition to the loss: name -> value `()`."""
        return {}

    def answers(self, outputs: Tensor, targets: Targets) -> list[Answer]:  # noqa: ARG002 - for subclasses
        """Return the answer to show for each of the B cases; by default an empty one."""
        return [Answer()] * len(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode every image with the same encoder, and apply the head to all feature maps of a case.

        Args:
            inputs: `(B, C, *spatial)` or `(B, P, C, *spatial)`.

        Returns:
            `(B, …)`, the outputs for `loss`.

        Raises:
            InputError: If the encoder or the head cannot use the inputs.
        """
        return self.read(self.encode(inputs))

    def read(self, maps: list[Tensor]) -> Tensor:
        """Compute the outputs `(B, …)` from the feature maps of all images of each case, see `encode`."""
        return self.head(maps)

    def encode(self, inputs: Tensor) -> list[Tensor]:
        """Compute the feature maps of every image.

        Args:
            inputs: `(B, P, C, *spatial)`, or `(B, C, *spatial)` for one image per case.

        Returns:
            One map `(B·P, C_i, *spatial_i)` per level, finest first.
        """
        images = inputs.flatten(0, -self.encoder.spatial_dims - 2)  # no effect without the axis P
        maps: list[Tensor] = self.encoder(images.to(self.dtype))
        return maps

    def check_cases(self, images: Tensor) -> None:
        """Check that there are cases to compare; in training, a rank's part of a batch may have one.

        Args:
            images: `(B, C, *spatial)`, each from a different case.

        Raises:
            InputError: If there are fewer than `least_cases`.
        """
        if len(images) < self.least_cases and not (self.training and world_size() > 1):
            found = f"at least {self.least_cases}, got {len(images)}{ONE_CASE}"
            raise InputError(f"{type(self).__name__} compares cases of the batch and needs {found}")

    def of_all_ranks(self, share: Tensor) -> Tensor:
        """Return the whole batch, for contrastive tasks. Gradients flow back to the parts of the other ranks.

        Only training batches are divided among ranks. A validation batch is complete on one rank.

        Args:
            share: This rank's part of the batch, `(B / ranks, …)`.

        Returns:
            `(B, …)`, this rank's part first.
        """
        return gather(share) if self.training else share

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Compute the loss `()` of a new random task, made from images `(B, C, *spatial)`."""
        inputs, targets = self._make_task(batch["image"])
        return self.loss(self(inputs), targets)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Measure loss, chance loss and `measures` of a task that is the same in every epoch and on every rank."""
        images: Tensor = batch["image"]
        number = batch_idx * world_size() + rank()
        self._validation.add(batch["case"], self.measure(images, torch.Generator(images.device).manual_seed(number)))

    def measure(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Measure loss, chance loss and `measures`, each `()`, of a task made of images `(B, C, *spatial)`."""
        inputs, targets = self._make_task(images, generator)
        outputs = self(inputs)
        return {
            "loss": self.loss(outputs, targets),
            "chance_loss": self.chance_loss(outputs, targets),
            **self.measures(outputs, targets),
        }

    def _make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Targets]:
        with torch.autocast(
            images.device.type, enabled=False
        ):  # images keep their precision, as a CPU's mixing requires
            return self.make_task(images, generator)

    def on_validation_epoch_end(self) -> None:
        """Log the mean values over all validation cases."""
        self.log_dict({f"val/{name}": value for name, value in self._validation.means().items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Configure optimizer and schedule (Lightning's hook)."""
        return self.optimization.configure(self)


class ClassificationTask(PretextTask[Tensor]):
    """Base class of pretext tasks that predict one of `num_classes` classes, trained with cross-entropy.

    Validation also measures the accuracy. The loss at chance level is ln(num_classes).

    Args:
        encoder: See `PretextTask`.
        num_images: Number of images per case for the head.
        num_classes: Number of classes, all equally likely.
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
        """Compute the cross-entropy `()` of logits `(B, num_classes)` and class indices `(B,)`."""
        return F.cross_entropy(outputs, targets)

    def class_name(self, index: int) -> str:
        """Name a class in words, for the report and Weights & Biases."""
        return f"class {index}"

    def measures(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the fraction of correct predictions, `accuracy`; logits are `(B, num_classes)`, classes `(B,)`."""
        return {"accuracy": multiclass_accuracy(outputs, targets, num_classes=self.num_classes, average="micro")}

    def answers(self, outputs: Tensor, targets: Tensor) -> list[Answer]:
        """Return the true class, the predicted class and its probability for each case."""
        probabilities, classes = outputs.float().softmax(1).max(1)
        return [
            Answer(
                f"{self.class_name(target)}, answered {self.class_name(answer)} with a probability of {probability:.2f}"
            )
            for target, answer, probability in zip(
                targets.tolist(), classes.tolist(), probabilities.tolist(), strict=True
            )
        ]
