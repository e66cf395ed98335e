"""Fine-tune an encoder to classify images, such as fundus photographs by the grade of retinopathy."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_cohen_kappa

from sslmed.core.errors import InputError
from sslmed.data.samples import Sample
from sslmed.downstream.base import RANDOM, DownstreamTask, Pretrained
from sslmed.downstream.guessing import guessed_classes, guessed_grades
from sslmed.downstream.ordinal import class_probabilities, decode, ordinal_loss
from sslmed.downstream.writers import WriteTable
from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, linear_head
from sslmed.evaluation.classification import auroc
from sslmed.learning.augmentation import RandomAffine, RandomIntensity, augment
from sslmed.learning.distributed import merge
from sslmed.learning.optimization import DEFAULT, Optimization


@dataclass(frozen=True)
class Objective:
    """Maps the outputs of a network to a loss, class probabilities and a decision.

    Attributes:
        num_outputs: Returns the number of outputs for K classes.
        loss: Takes logits `(B, outputs)` and class indices `(B,)`.
        probabilities: Turns logits `(B, outputs)` into probabilities `(B, K)`.
        decide: Turns probabilities `(B, K)` into class indices `(B,)`.
        guess: Returns the best logits `(outputs,)` for all images, given class indices `(B,)` and K.
    """

    num_outputs: Callable[[int], int]
    loss: Callable[[Tensor, Tensor], Tensor]
    probabilities: Callable[[Tensor], Tensor]
    decide: Callable[[Tensor], Tensor]
    guess: Callable[[Tensor, int], Tensor]


OBJECTIVES = {
    "cross_entropy": Objective(
        num_outputs=lambda num_classes: num_classes,
        loss=F.cross_entropy,
        probabilities=partial(torch.softmax, dim=1),
        decide=partial(torch.argmax, dim=1),
        guess=guessed_classes,
    ),
    "ordinal": Objective(
        num_outputs=lambda num_classes: num_classes - 1,
        loss=ordinal_loss,
        probabilities=class_probabilities,
        decide=decode,
        guess=guessed_grades,
    ),
}


class Classification(DownstreamTask):
    """Classifies images with an encoder and a head.

    `cross_entropy` is the softmax cross-entropy over K logits. `ordinal` has K − 1 logits, one for each threshold
    between neighbouring grades (Frank and Hall 2001, https://doi.org/10.1007/3-540-44795-4_13; Cheng 2007,
    https://arxiv.org/abs/0704.1028).

    Args:
        encoder: Turns an image into feature maps; the head reads the coarsest.
        num_classes: Number of classes K.
        objective: `cross_entropy`, or `ordinal` for grades, see `sslmed.downstream.ordinal`.
        score: Chooses the best checkpoint: `qwk` for grades, `auroc` for classes without an order.
        head: Builds the head from the encoder, the number of images per case (1) and the number of outputs. The default
            is one linear layer on globally averaged features.
        affine: Random flips, rotations and zooms of images in training.
        intensity: Random brightness and contrast of images in training.
        pretrained: See `DownstreamTask`.
        optimization: See `DownstreamTask`.

    Attributes:
        test_rows: After a test run, one row per case: `case`, `truth`, `prediction`, `probability_<i>`.

    Raises:
        InputError: If there are fewer than 2 classes.
    """

    kind = "classification"
    prediction_writer = WriteTable

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int = 5,
        objective: Literal["cross_entropy", "ordinal"] = "cross_entropy",
        score: Literal["qwk", "auroc"] = "qwk",
        head: HeadCallable = linear_head,
        affine: RandomAffine | None = None,
        intensity: RandomIntensity | None = None,
        pretrained: Pretrained = RANDOM,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, pretrained, optimization)
        if num_classes < 2:
            raise InputError(f"classification needs at least 2 classes, got {num_classes}")
        self.objective = OBJECTIVES[objective]
        self.head = head(encoder, 1, self.objective.num_outputs(num_classes))
        self.affine = affine
        self.intensity = intensity
        self.num_classes = num_classes
        self.score = score
        self.monitor = f"val/{score}"
        self._answers: dict[str, tuple[int, int, list[float]]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits that `objective` turns into classes.

        Args:
            images: `(B, C, *spatial)`.

        Returns:
            Logits `(B, outputs)`.
        """
        logits: Tensor = self.head(self.encoder(images))
        return logits.float()

    def outputs(self, images: Tensor) -> Tensor:
        """Compute the probabilities `(B, K)` of the classes."""
        return self.objective.probabilities(self(images))

    def training_loss(self, batch: Sample) -> Tensor:
        """Compute the loss `()` of an augmented batch: images `(B, C, *spatial)`, class indices `(B,)`."""
        images = augment(batch["image"].float(), self.affine, self.intensity)
        return self.objective.loss(self(images), batch["label"])

    def validation_step(self, batch: Sample, batch_idx: int) -> None:  # noqa: ARG002
        """Collect predictions. Kappa and AUROC are not means over batches, so they are computed at the end."""
        logits, labels = self(batch["image"].float()), batch["label"]
        probabilities = self.objective.probabilities(logits)
        answers = zip(
            self.objective.decide(probabilities).tolist(), labels.tolist(), probabilities.tolist(), strict=True
        )
        self._answers |= zip(batch["case"], answers, strict=True)
        guess = self.objective.guess(labels, self.num_classes).expand_as(logits)
        losses = {"val/loss": logits, "val/chance_loss": guess}
        self._validation.add(batch["case"], {name: self.objective.loss(each, labels) for name, each in losses.items()})

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation set."""
        decided, labels, probabilities = zip(*merge(self._answers).values(), strict=True)
        answers, truths = torch.tensor(decided), torch.tensor(labels)
        self._answers = {}
        # With a single class in both truth and prediction, kappa is 0 / 0. It counts as chance agreement, 0.
        kappa = multiclass_cohen_kappa(answers, truths, self.num_classes, weights="quadratic").nan_to_num(0.0)
        accuracy = (answers == truths).float().mean()
        score = kappa if self.score == "qwk" else torch.tensor(auroc(truths, torch.tensor(probabilities)))
        self.log_dict({self.monitor: score, "val/accuracy": accuracy, **self._validation.means()}, prog_bar=True)

    def predict_step(self, batch: Sample, batch_idx: int) -> list[dict[str, Any]]:  # noqa: ARG002
        """Classify cases. Returns one row per case with `case`, `prediction` and `probability_<i>`."""
        probabilities = self.infer(batch["image"].float())
        predictions = self.objective.decide(probabilities)
        return [
            {"case": case, "prediction": prediction, **{f"probability_{i}": value for i, value in enumerate(values)}}
            for case, prediction, values in zip(
                batch["case"], predictions.tolist(), probabilities.tolist(), strict=True
            )
        ]
