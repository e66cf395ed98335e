"""Fine-tune a U-Net for segmentation. Test cases are scored on the prepared and on the original grid."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.losses.dice import DiceCELoss
from numpy.typing import NDArray
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Amount, BelowOne, Fraction
from sslmed.data.samples import Sample
from sslmed.downstream.base import RANDOM, DownstreamTask, Pretrained
from sslmed.downstream.examples import Example, examples_of, save_examples
from sslmed.downstream.guessing import guessed_classes
from sslmed.downstream.writers import WriteSegmentations
from sslmed.encoders import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.evaluation.segmentation import case_row, foreground_dice, region_dice
from sslmed.evaluation.surface import surface_row
from sslmed.learning.augmentation import RandomAffine, RandomIntensity, apply_affine, apply_intensity
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.store import Store


class Segmentation(DownstreamTask):
    """Segments images with a U-Net made of the encoder and a decoder.

    The network is that of https://arxiv.org/abs/1606.06650, as used in https://arxiv.org/abs/2006.03829. A 2-D network
    trains on slices and predicts volumes slice by slice, along their last axis.

    Args:
        encoder: The contracting path of the U-Net.
        label_values: Values of the classes in the label files, background first.
        regions: Unions of classes that are also scored: name to class indices (positions in `label_values`).
        loss: Takes logits `(B, K, *spatial)` and class indices `(B, 1, *spatial)`. The default is MONAI's `DiceCELoss`:
            soft Dice loss (https://arxiv.org/abs/1606.04797) plus cross-entropy.
        dropout: Fraction of activations dropped within each block of the decoder.
        norm_momentum: Weight of the current batch in the running statistics of the decoder's batch norms.
        norm_eps: Number that these batch norms add to the variance.
        extra_pooling: See `UNetDecoder`.
        affine: Random flips, rotations and zooms of images and labels in training.
        intensity: Random brightness and contrast of images in training.
        crop_size: Size in voxels of the sliding window for whole images, where training uses crops.
        surface_tolerance: Distance in mm within which surfaces agree, for the normalised surface Dice of test cases.
            The default is one or two voxels of a clinical scan and common for organs (https://abcs.mgh.harvard.edu).
        pretrained: See `DownstreamTask`.
        optimization: See `DownstreamTask`.

    Raises:
        InputError: If a region has an index that is not a foreground class, or the tolerance is below 0.
    """

    monitor = "val/dice_foreground"
    kind = "segmentation"
    prediction_writer = WriteSegmentations

    def __init__(
        self,
        encoder: Encoder,
        label_values: Sequence[int] = (0, 1),
        regions: dict[str, tuple[int, ...]] | None = None,
        loss: nn.Module | None = None,
        dropout: BelowOne = 0.5,
        norm_momentum: Fraction = 0.1,
        norm_eps: Amount = 1e-5,
        extra_pooling: bool = False,
        affine: RandomAffine | None = None,
        intensity: RandomIntensity | None = None,
        crop_size: tuple[int, ...] | None = None,
        surface_tolerance: Amount = 2.0,
        pretrained: Pretrained = RANDOM,
        optimization: Optimization = DEFAULT,
    ) -> None:
        _check_regions(regions or {}, len(label_values))
        decoder = UNetDecoder(
            encoder,
            len(label_values),
            dropout=dropout,
            norm_momentum=norm_momentum,
            norm_eps=norm_eps,
            extra_pooling=extra_pooling,
        )
        super().__init__(encoder, pretrained, optimization, decoder=decoder)
        self.label_values = tuple(label_values)
        self.regions = {} if regions is None else regions
        if self.regions:
            self.monitor = "val/dice_regions"  # choose the checkpoint by the reported score
        self.segmentation_loss = DiceCELoss(softmax=True, to_onehot_y=True) if loss is None else loss
        self.affine = affine
        self.intensity = intensity
        self.crop_size = crop_size
        if not surface_tolerance >= 0:
            raise InputError(f"surface_tolerance is {surface_tolerance:g}, expected a distance in mm, 0 or more")
        self.surface_tolerance = surface_tolerance

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of the classes.

        Args:
            images: `(B, C, *spatial)`.

        Returns:
            Logits `(B, K, *spatial)`.
        """
        logits: Tensor = self.decoder(self.encoder(images), images.shape[2:])
        return logits.float()  # half precision would round the sums of the loss

    def augment(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a training batch on its device: images `(B, C, *spatial)`, labels `(B, 1, *spatial)`."""
        if self.affine is not None:
            matrices = self.affine.sample(len(images), images.ndim - 2, images.device)
            images, labels = apply_affine(images, matrices), apply_affine(labels, matrices, "nearest")
        if self.intensity is not None:
            images = apply_intensity(images, *self.intensity.sample(len(images), images.device))
        return images, labels

    @property
    def window(self) -> Sequence[int] | None:
        """Sides in voxels of the windows in which it is applied to whole images."""
        return self.crop_size

    def outputs(self, images: Tensor) -> Tensor:
        """Compute the probabilities `(B, K, *spatial)` of the classes."""
        logits: Tensor = self(images)
        return logits.softmax(1)

    def training_loss(self, batch: Sample) -> Tensor:
        """Compute the loss `()` of an augmented batch: images `(B, C, *spatial)`, class indices `(B, *spatial)`."""
        images, labels = self.augment(batch["image"].float(), batch["label"][:, None])
        loss: Tensor = self.segmentation_loss(self(images), labels)
        return loss

    def validation_step(self, batch: Sample, batch_idx: int) -> None:  # noqa: ARG002
        """Score validation cases on the prepared grid."""
        logits = self.apply_whole(self, batch["image"].float())
        guess = guessed_classes(batch["label"], logits.shape[1]).view(-1, *[1] * (logits.ndim - 2)).expand_as(logits)
        losses = {"val/loss": logits, "val/chance_loss": guess}
        means = {name: self.segmentation_loss(each, batch["label"][:, None]) for name, each in losses.items()}
        cases = list(zip(_highest(logits), batch["label"], _lost(batch), strict=True))
        scores = {
            "foreground": [foreground_dice(found, truth, len(self.label_values), lost) for found, truth, lost in cases]
        }
        for region, classes in self.regions.items():
            scores[region] = [region_dice(found, truth, classes, lost) for found, truth, lost in cases]
        means |= {f"val/dice_{name}": sum(of_cases) / len(cases) for name, of_cases in scores.items()}
        if self.regions:
            means[self.monitor] = sum(means[f"val/dice_{region}"] for region in self.regions) / len(self.regions)
        self._validation.add(batch["case"], means)

    def on_validation_epoch_end(self) -> None:
        """Log the means over all validation cases."""
        self.log_dict(self._validation.means())

    def test_step(self, batch: Sample, batch_idx: int) -> None:  # noqa: ARG002
        """Score test cases on the prepared grid and, mapped back, on the original grid, if the batch has it."""
        probabilities = self.infer(batch["image"].float())
        prediction, lost = _highest(probabilities), _lost(batch)
        for i, case in enumerate(batch["case"]):
            row = case_row(prediction[i], batch["label"][i], self.label_values, self.regions, lost[i])
            if "geometry" in batch:
                row |= self._native_row(probabilities[i], batch["geometry"][i], batch["native_label"][i])
            self.test_rows.append({"case": case, **row})

    def _native_row(self, scores: Tensor, geometry: Geometry, truth: NDArray[np.uint8]) -> dict[str, float]:
        """Score a case on its original grid: `scores` are `(K, *grid)`, `truth` is `(*original)`."""
        native = geometry.restore_scores(scores.cpu().numpy())
        row = {"dice_foreground_native": foreground_dice(native, truth, len(self.label_values))}
        if (spacing := geometry.original_spacing) is not None:
            row |= surface_row(native, truth, self.label_values, spacing, tolerance=self.surface_tolerance)
        return row

    def predict_step(self, batch: Sample, batch_idx: int) -> list[np.ndarray[Any, Any]]:  # noqa: ARG002
        """Segment cases on their original grids, with the values of the label files."""
        probabilities = self.infer(batch["image"].float()).cpu().numpy()
        return [self.label_map(*each) for each in zip(probabilities, batch["geometry"], strict=True)]

    def label_map(self, probabilities: np.ndarray[Any, Any], geometry: Geometry) -> np.ndarray[Any, Any]:
        """Map probabilities `(K, *grid)` to the values of the label files, on the original grid."""
        values = np.array(self.label_values, dtype=np.min_scalar_type(max(self.label_values)))
        return values[geometry.restore_scores(probabilities)]

    @torch.inference_mode()
    def write_examples(self, store: Store, scores: pd.DataFrame, path: Path) -> None:
        """Save slices of the best, the median and the worst test case. Only these three are predicted again."""
        self.eval()
        examples = {}
        for role, case, dice in examples_of(scores):
            image = torch.tensor(store.image(case), device=self.device)[None].float()
            prediction = _highest(self.infer(image))[0].to(torch.uint8).cpu().numpy()
            kept = Example.of_volume if store.spatial_dims == 3 else Example.of_photograph
            examples[role] = kept(case, dice, store.image(case), store.label(case), prediction)
        save_examples(path, examples)


def _highest(scores: Tensor) -> Tensor:
    """Return the class with the highest score, the first of equals: a faster `argmax(1)` (10 times on a CPU)."""
    return scores.max(1).indices


def _lost(batch: Sample) -> Sequence[Collection[int]]:
    """Return the classes that each case has lost on its grid: none, if a batch is not of a store."""
    lost: Sequence[Collection[int]] = batch.get("lost", [()] * len(batch["image"]))
    return lost


def _check_regions(regions: Mapping[str, Sequence[int]], num_classes: int) -> None:
    for name, classes in regions.items():
        if not classes or not all(0 < index < num_classes for index in classes):
            raise InputError(
                f"region {name!r} is classes {list(classes)}, expected some of 1 to {num_classes - 1}: "
                "positions in label_values, not label values"
            )
