"""Divides the labelled cases of a store into training, validation and test cases of a fold."""

from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.core.numbers import Count, Folds, Index
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.samples import Sample
from sslmed.data.selection import select_labelled, split_store, split_without_test

STORED = {
    "none": "no labels: use PretrainingData or PoolData",
    "map": "label maps: use SegmentationData",
    "class": "classes: use ClassificationData",
    "value": "values: use RegressionData",
}


class FoldData(StoreDataModule):
    """Loads the cases of one fold.

    Cases of a patient, and copies of an image, stay together. Folds are stratified by class, or by fifths of values.

    Args:
        fold: The fold that is the test set.
        n_folds: Number of folds over the labelled cases.
        split_seed: Seed of folds and validation cases.
        final: Train on all labelled cases, for a model that is used and not scored: none is held out for a test. The
            validation cases are among them, so their scores are no estimate.
        testing: Whether there are test cases. Without them, all but a tenth are for training: to pretrain on labels.
        kwargs: See `StoreDataModule`.

    Attributes:
        split: Training, validation and test cases of the fold.

    Raises:
        UserError: If there are too few labelled cases.
    """

    def __init__(
        self,
        store: Path,
        fold: Index = 0,
        n_folds: Folds = 5,
        split_seed: int = 0,
        testing: bool = True,
        final: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__(store, fold=fold, **kwargs)  # type: ignore[arg-type]
        self.final = final
        self.n_folds = n_folds
        if testing:
            self.split = split_store(self.store, fold=fold, n_folds=n_folds, split_seed=split_seed, final=final)
        else:
            self.split = split_without_test(self.store, split_seed=split_seed)

    def describe(self) -> dict[str, Any]:
        """Return `StoreDataModule.describe`, and whether the model is a final one."""
        return super().describe() | ({"final": True} if self.final else {})


class LabelledData(FoldData):
    """Loads labelled cases, for fine-tuning on a part of the labels.

    Args:
        label_fraction: Fraction of the fold's training cases whose labels may be used, in (0, 1].
        n_labels: Number of training cases whose labels may be used, instead of a fraction. By default all are used.
        kwargs: See `FoldData`.

    Attributes:
        label_amount: The requested amount of labels.
        label_fraction: The requested fraction; for a requested number, its fraction of the fold's training cases.
        n_labels: Number of labelled training cases in use.

    Raises:
        UserError: If both are given, if the number is above the number of training cases, or, for classes, below the
            number of classes.
    """

    def __init__(
        self, store: Path, label_fraction: float | None = None, n_labels: Count | None = None, **kwargs: object
    ) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        if label_fraction is None and n_labels is None:
            label_fraction = 1.0
        self.label_amount = LabelAmount(label_fraction, n_labels)
        if self.label != self.store.labels:
            raise UserError(f"{store}: {type(self).__name__} cannot use it; it holds {STORED[self.store.labels]}")
        if self.slices and self.label != "map":
            whole = "its labels are of whole volumes, not of slices"
            raise UserError(f"{store}: {whole}: leave out data.spatial_dims {self.spatial_dims}")
        self.selection = select_labelled(self.store, self.split, self.label_amount, fold=self.fold, seed=self.seed)
        self.n_labels = len(self.training_cases)
        self.label_fraction = self.n_labels / len(self.split.train) if label_fraction is None else label_fraction

    def describe(self) -> dict[str, Any]:
        """Return `StoreDataModule.describe` and the labels; `n_train` counts all training cases of a fold."""
        used = {
            "label_amount": str(self.label_amount),
            "label_fraction": self.label_fraction,
            "n_labels": self.n_labels,
        }
        return super().describe() | used | {"n_train": len(self.split.train), "n_folds": self.n_folds}

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the fold's validation cases, the same for every arm, amount of labels and seed."""
        return self._evaluation_loader(self.split.validation, native=False, label=self.label)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the fold's test cases, with geometry and labels of the original grid."""
        return self._evaluation_loader(self.split.test, native=True, label=self.label)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the fold's test cases and all unlabelled cases."""
        return self._evaluation_loader((*self.split.test, *self.store.unlabelled), native=True, label=None)
