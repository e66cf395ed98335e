"""LightningDataModules over a prepared store: which cases, how long, in which batches."""

from pathlib import Path

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from sslmed.data.batches import Draw, EndlessBatches, EvenBatches
from sslmed.data.splits import count_labels, label_order, split_cases
from sslmed.data.store import Store
from sslmed.data.volumes import Sample, VolumeDataset, collate
from sslmed.errors import UserError


class VolumeDataModule(LightningDataModule):
    """What pretraining and fine-tuning share: the fold, the budget, the loaders.

    Training draws from an endless seeded reshuffle; one Lightning epoch is the stretch between two validation passes.

    Args:
        store: Folder written by `sslmed prepare`.
        fold: Which fold is the test set.
        n_folds: Number of folds over the labelled cases.
        split_seed: Draws folds and validation cases.
        seed: Draws the order of labels and the batches, never folds or validation cases.
        batch_size: Volumes per update.
        updates: Length of training in updates. Give this or `epochs`.
        epochs: Length of training in passes over the training cases, as papers count it.
        validations: Number of validation passes, evenly spread, the last one at the end.
        crop_size: Train on random crops of this size; needed where prepared volumes differ in size.
        num_workers: Processes that read ahead; 0 reads in the training process, which a memory map makes fast.

    Attributes:
        spatial_dims: 3; the command line links it to the encoder.
        in_channels: Channels of the images; linked to the encoder.
        split: Training, validation and test cases of the fold.
        training_cases: The cases that training draws from.

    Raises:
        UserError: If the store is unusable, has too few labelled cases, or the budget is not given exactly once.
    """

    spatial_dims = 3
    training_cases: tuple[str, ...]
    labels = False

    def __init__(
        self,
        store: Path,
        fold: int = 0,
        n_folds: int = 5,
        split_seed: int = 0,
        seed: int = 0,
        batch_size: int = 4,
        updates: int | None = None,
        epochs: int | None = None,
        validations: int = 10,
        crop_size: tuple[int, int, int] | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if (updates is None) == (epochs is None):
            msg = (
                f"give the length of training in updates or in epochs, one of them: updates={updates}, epochs={epochs}"
            )
            raise UserError(msg)
        self.store = Store(store)
        self.split = split_cases(self.store.labelled, fold=fold, n_folds=n_folds, split_seed=split_seed)
        self.fold = fold
        self.seed = seed
        self.batch_size = batch_size
        self.updates = updates
        self.epochs = epochs
        self.validations = validations
        self.crop_size = crop_size
        self.num_workers = num_workers
        self.in_channels = self.store.in_channels
        if crop_size is None and self.store.settings.geometry == "spacing":
            self._check_equal_sizes()

    def _check_equal_sizes(self) -> None:
        sizes = {self.store.image(case).shape[1:] for case in self.store.cases}
        if len(sizes) > 1:
            smallest, largest = min(sizes), max(sizes)
            msg = (
                f"{self.store.root}: volumes differ in size ({smallest} to {largest} voxels) and do not stack: "
                "train on crops, e.g. --data.crop_size [64,64,64]"
            )
            raise UserError(msg)

    @property
    def updates_per_validation(self) -> int:
        """Updates between two validation passes; the budget is rounded to a multiple of it.

        Raises:
            UserError: If there are fewer updates than validation passes.
        """
        total = self.updates
        if self.epochs is not None:
            total = self.epochs * -(-len(self.training_cases) // self.batch_size)
        if total is None or total < self.validations:
            msg = f"{total} updates are too few for {self.validations} validation passes: lower data.validations"
            raise UserError(msg)
        return round(total / self.validations)

    def transfer_batch_to_device(self, batch: Sample, device: torch.device, dataloader_idx: int) -> Sample:  # noqa: ARG002
        """Move the tensors; Lightning's own mover refuses geometries, which are frozen."""
        return {key: value.to(device) if torch.is_tensor(value) else value for key, value in batch.items()}

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches up to the next validation pass."""
        dataset = VolumeDataset(self.store, self.training_cases, labels=self.labels, crop_size=self.crop_size)
        batches = EndlessBatches(
            len(dataset),
            self.batch_size,
            length=self.updates_per_validation,
            seed=self.seed,
            repeats=self.labels,
            updates_done=lambda: 0 if self.trainer is None else self.trainer.global_step,
        )
        return self._loader(dataset, batches)

    def _evaluation_loader(self, dataset: VolumeDataset) -> DataLoader[Sample]:
        # Whole volumes of different sizes do not stack.
        batches = EvenBatches(len(dataset), self.batch_size if self.crop_size is None else 1)
        return self._loader(dataset, batches)

    def _loader(self, dataset: VolumeDataset, batches: Sampler[list[Draw]]) -> DataLoader[Sample]:
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=self.num_workers)


class PretrainingData(VolumeDataModule):
    """Unlabelled images for a pretext task.

    The pool is the fold's training cases, whatever the label fraction, and all unlabelled ones.
    Validation is over the fold's validation cases. Test cases are never seen unless `transductive`.

    Args:
        transductive: Add the fold's test cases to the pool. Whoever reports such a result must say so.
        kwargs: See `VolumeDataModule`.
    """

    def __init__(self, store: Path, transductive: bool = False, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        self.transductive = transductive
        self.training_cases = (*self.split.train, *self.store.unlabelled, *(self.split.test if transductive else ()))

    def val_dataloader(self) -> DataLoader[Sample]:
        """The fold's validation cases; volumes of different sizes are cropped, always at the same place."""
        dataset = VolumeDataset(self.store, self.split.validation, crop_size=self.crop_size)
        return self._loader(dataset, EvenBatches(len(dataset), self.batch_size, seed="validation"))


class SegmentationData(VolumeDataModule):
    """Labelled volumes for fine-tuning on a fraction of the labels.

    Args:
        label_fraction: Share of the fold's training cases whose labels may be used, in (0, 1].
        kwargs: See `VolumeDataModule`.

    Attributes:
        label_values: Values of the labels in the original files, background first; linked to the model.
        n_labels: Number of labelled training cases in use.
    """

    labels = True

    def __init__(self, store: Path, label_fraction: float = 1.0, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        train = self.split.train
        class_sets = {case: self.store.classes(case) for case in train}
        order = label_order(train, fold=self.fold, seed=self.seed, class_sets=class_sets, stratify=False)
        self.label_fraction = label_fraction
        self.n_labels = count_labels(label_fraction, len(train))
        self.training_cases = order[: self.n_labels]
        self.label_values = self.store.label_values

    def val_dataloader(self) -> DataLoader[Sample]:
        """The fold's validation cases, the same for every arm, fraction and seed."""
        return self._evaluation_loader(VolumeDataset(self.store, self.split.validation, labels=True))

    def test_dataloader(self) -> DataLoader[Sample]:
        """The fold's test cases, with what scoring on the original grid needs."""
        return self._evaluation_loader(VolumeDataset(self.store, self.split.test, labels=True, native=True))

    def predict_dataloader(self) -> DataLoader[Sample]:
        """The fold's test cases and all unlabelled ones."""
        cases = (*self.split.test, *self.store.unlabelled)
        return self._evaluation_loader(VolumeDataset(self.store, cases, native=True))
