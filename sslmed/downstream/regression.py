"""Fine-tune an encoder to predict a number from an image, such as an age or a volume."""

from typing import Any, Literal

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.errors import InputError
from sslmed.data.samples import Sample
from sslmed.downstream.base import RANDOM, DownstreamTask, Pretrained
from sslmed.downstream.writers import WriteTable
from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, linear_head
from sslmed.evaluation.metrics import summarise
from sslmed.learning.augmentation import RandomAffine, RandomIntensity, augment
from sslmed.learning.distributed import merge
from sslmed.learning.optimization import DEFAULT, Optimization

LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss}


class Regression(DownstreamTask):
    """Predicts one number per image with an encoder and a head.

    The network predicts standardised values, (value − mean) / scale, so that the unit of the values does not matter.

    Args:
        encoder: Turns an image into feature maps; the head reads the coarsest.
        target_mean: Mean value of the training cases; set from the data.
        target_scale: Standard deviation of the values of the training cases; set from the data.
        loss: `mse`, the mean squared error, or `l1`, the mean absolute error, of standardised values (no unit).
        head: Builds the head from the encoder, the number of images per case (1) and the number of outputs (1). The
            default is one linear layer on globally averaged features.
        affine: Random flips, rotations and zooms of images in training.
        intensity: Random brightness and contrast of images in training.
        pretrained: See `DownstreamTask`.
        optimization: See `DownstreamTask`.

    Attributes:
        test_rows: After a test run, one row per case: `case`, `truth`, `prediction`, in the unit of the values.

    Raises:
        InputError: If the scale is not above 0.
    """

    monitor = "val/mae"
    kind = "regression"
    prediction_writer = WriteTable

    def __init__(
        self,
        encoder: Encoder,
        target_mean: float = 0.0,
        target_scale: float = 1.0,
        loss: Literal["mse", "l1"] = "mse",
        head: HeadCallable = linear_head,
        affine: RandomAffine | None = None,
        intensity: RandomIntensity | None = None,
        pretrained: Pretrained = RANDOM,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, pretrained, optimization)
        if not target_scale > 0:
            raise InputError(f"the values' standard deviation must be above 0, got {target_scale}")
        self.register_buffer("target_mean", torch.tensor(target_mean))
        self.register_buffer("target_scale", torch.tensor(target_scale))
        self.target_mean: Tensor
        self.target_scale: Tensor
        self.regression_loss = LOSSES[loss]
        self.head = head(encoder, 1, 1)
        self.affine = affine
        self.intensity = intensity
        self._answers: dict[str, tuple[float, float]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Predict standardised values.

        Args:
            images: `(B, C, *spatial)`.

        Returns:
            `(B,)`.
        """
        answers: Tensor = self.head(self.encoder(images))
        return answers.float()[:, 0]

    def outputs(self, images: Tensor) -> Tensor:
        """Compute the values `(B,)`, in their unit."""
        return self._in_unit(self(images))

    def training_loss(self, batch: Sample) -> Tensor:
        """Compute the loss `()` of an augmented batch: images `(B, C, *spatial)`, values `(B,)`."""
        images = augment(batch["image"].float(), self.affine, self.intensity)
        return self._loss(self(images), batch["label"])

    def validation_step(self, batch: Sample, batch_idx: int) -> None:  # noqa: ARG002
        """Collect predictions. r² is not a mean over batches, so it is computed at the end."""
        answers = self(batch["image"].float())
        pairs = zip(batch["label"].tolist(), self._in_unit(answers).tolist(), strict=True)
        self._answers |= zip(batch["case"], pairs, strict=True)
        guess = torch.zeros_like(answers)  # the mean of the training cases
        losses = {"val/loss": answers, "val/chance_loss": guess}
        self._validation.add(batch["case"], {name: self._loss(each, batch["label"]) for name, each in losses.items()})

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation set. If a prediction is not finite, no score is."""
        pairs = pd.DataFrame([*merge(self._answers).values()], columns=["truth", "prediction"])
        self._answers = {}
        finite = pairs["prediction"].abs().lt(float("inf")).all()
        scores = summarise(pairs, "regression") if finite else {"mae": float("inf"), "r2": float("-inf")}
        self.log_dict({f"val/{name}": score for name, score in scores.items()}, prog_bar=True)
        self.log_dict(self._validation.means())

    def predict_step(self, batch: Sample, batch_idx: int) -> list[dict[str, Any]]:  # noqa: ARG002
        """Predict values. Returns one row per case with `case` and `prediction`, in the unit of the values."""
        answers = self.infer(batch["image"].float()).tolist()
        return [{"case": case, "prediction": answer} for case, answer in zip(batch["case"], answers, strict=True)]

    def _loss(self, answers: Tensor, values: Tensor) -> Tensor:
        return self.regression_loss(answers, (values - self.target_mean) / self.target_scale)

    def _in_unit(self, answers: Tensor) -> Tensor:
        return answers * self.target_scale + self.target_mean
