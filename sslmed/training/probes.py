"""Watches the encoder while it is pretrained: whether it collapses and, on request, what features tell of labels."""

from collections.abc import Iterator
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn import functional as F

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.batches import Draw
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.fold import FoldData
from sslmed.data.samples import Sample, StoreDataset, collate
from sslmed.data.selection import select_labelled
from sslmed.evaluation import features, probes
from sslmed.evaluation.segmentation import class_counts, dice
from sslmed.learning.distributed import rank
from sslmed.pretext.base import PretextTask

MOST_CASES = 200
"""Training cases that probes learn from, and validation cases whose features are compared: no more are needed."""

VOXELS = 64
"""Voxels of each class and training case that the segmentation probe learns from."""


class Probes(Callback):
    """Measures the features of the encoder at each validation pass, and logs them as metrics.

    `features/spread` and `features/rank` of validation images show whether it collapses; see
    `sslmed.evaluation.features`. With labels, probes learn from the fold's training cases and are scored on its
    validation cases; test cases are not read. `probe/<score>_untrained` is the score of the weights before training.

    | labels | score |
    |---|---|
    | classes | `probe/linear`, `probe/knn`: balanced accuracy on features that are pooled over the image |
    | values | `probe/r2`, also on pooled features |
    | maps | `probe/dice`: one linear layer on all feature maps; Dice pooled over cases, mean over foreground classes |

    Images are cropped and sliced as in the validation of the pretext task. The encoder is in evaluation mode, and no
    global random number is used, so that training is the same with and without.

    Args:
        data: Data of the pretraining run.
        labels: Whether to run probes.

    Raises:
        UserError: If the data have no labelled cases.
    """

    def __init__(self, data: StoreDataModule, *, labels: bool) -> None:
        self.data = data
        self.num_classes = len(data.store.label_names)
        self.untrained: dict[str, float] = {}
        self.parts: tuple[StoreDataset, StoreDataset] | None = None
        self.images = self._dataset(data.selection.validation[:MOST_CASES], labelled=False)
        if labels:
            if not isinstance(data, FoldData):
                raise UserError(f"--probes true needs labelled cases, but {type(data).__name__} has none: leave it out")
            split = data.split
            amount = LabelAmount(count=min(MOST_CASES, len(split.train)))
            train = select_labelled(data.store, split, amount, fold=data.fold, seed=0).training
            self.parts = self._dataset(train, labelled=True), self._dataset(split.validation, labelled=True)

    def _dataset(self, cases: tuple[str, ...], *, labelled: bool) -> StoreDataset:
        store, data = self.data.store, self.data
        label: Any = store.labels if labelled else None
        return StoreDataset(store, cases, label=label, slices=data.slices, crop_size=data.crop_size)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the weights before the first update."""
        if trainer.global_step == 0 and rank() == 0:
            found = self._probe(trainer, cast(PretextTask[Any], pl_module))
            self.untrained = {f"{name}_untrained": score for name, score in found.items()}

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what is measured, on the first rank."""
        if trainer.sanity_checking or rank() > 0:
            return
        task = cast(PretextTask[Any], pl_module)
        found = {**self._monitor(trainer, task), **self._probe(trainer, task), **self.untrained}
        task.log_dict(found, rank_zero_only=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the scores of the weights before training, for a run that resumes."""
        return self.untrained

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.untrained = state_dict

    def _monitor(self, trainer: Trainer, task: PretextTask[Any]) -> dict[str, float]:
        if len(self.images) < features.ENOUGH_CASES:
            return {}
        pooled = torch.cat([_pooled(maps) for _, maps in self._encoded(trainer, task, self.images)])
        return {"features/spread": features.spread(pooled), "features/rank": features.effective_rank(pooled)}

    def _probe(self, trainer: Trainer, task: PretextTask[Any]) -> dict[str, float]:
        if self.parts is None:
            return {}
        train, validation = (self._encoded(trainer, task, part) for part in self.parts)
        if self.data.store.labels == "map":
            return {"probe/dice": self._dice(train, validation)}
        known, new = _pooled_and_labels(train), _pooled_and_labels(validation)
        if self.data.store.labels == "value":
            return {"probe/r2": probes.regression_r2(*known, *new)}
        scores = {"linear": probes.linear_accuracy, "knn": probes.neighbours_accuracy}
        return {f"probe/{name}": score(*known, *new, self.num_classes) for name, score in scores.items()}

    def _dice(self, train: "Encoded", validation: "Encoded") -> float:
        generator = torch.Generator().manual_seed(0)
        sampled, classes, counts = [], [], torch.zeros(self.num_classes)
        for batch, maps in train:
            for i, label in enumerate(batch["label"].long()):
                voxels = torch.cat([_some(label == index, generator) for index in range(self.num_classes)])
                classes.append(label[voxels.unbind(1)])
                sampled.append(probes.features_at([each[i : i + 1] for each in maps], voxels, label.shape))
                counts += torch.bincount(label.flatten(), minlength=self.num_classes).cpu()
        known = torch.cat(classes)
        # Between equal weights for voxels, where rare classes are never predicted, and equal weights for classes.
        weights = counts.sqrt().to(known.device) / torch.bincount(known, minlength=self.num_classes)
        fitted = probes.ridge(torch.cat(sampled), F.one_hot(known, self.num_classes), weights[known])
        total = sum(
            class_counts(predicted, label, self.num_classes)
            for batch, maps in validation
            for predicted, label in zip(
                probes.segment(maps, fitted, batch["label"].shape[1:]), batch["label"], strict=True
            )
        )
        return float(dice(*total)[1:].mean())  # type: ignore[misc]

    @torch.no_grad()
    def _encoded(self, trainer: Trainer, task: PretextTask[Any], dataset: StoreDataset) -> "Encoded":
        """Yield batches with their feature maps, `(B, C_i, *spatial_i)` per level."""
        training = task.encoder.training
        task.encoder.eval()
        for start in range(0, len(dataset), self.data.batch_size):
            stop = min(start + self.data.batch_size, len(dataset))
            samples = [dataset[Draw(i, "validation")] for i in range(start, stop)]
            batch = self.data.transfer_batch_to_device(collate(samples), task.device, 0)
            with trainer.precision_plugin.val_step_context():
                maps = task.encoder(batch["image"].to(task.dtype))
            yield batch, maps
        task.encoder.train(training)


Encoded = Iterator[tuple[Sample, list[Tensor]]]


def _pooled(maps: list[Tensor]) -> Tensor:
    """Average the coarsest feature map over the image, as heads do: `(B, F)`."""
    return maps[-1].float().flatten(2).mean(2)


def _pooled_and_labels(encoded: Encoded) -> tuple[Tensor, Tensor]:
    pooled, labels = zip(*((_pooled(maps), batch["label"]) for batch, maps in encoded), strict=True)
    return torch.cat(pooled), torch.cat(labels)


def _some(where: Tensor, generator: torch.Generator) -> Tensor:
    """Choose up to `VOXELS` of the voxels where a mask `(*spatial)` is true: their indices, `(N, d)`."""
    voxels = where.nonzero()
    return voxels[torch.randperm(len(voxels), generator=generator)[:VOXELS].to(voxels.device)]
