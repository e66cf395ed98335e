"""Base class of all LightningDataModules over a prepared store: length of training, batches, loaders."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from sslmed.core.errors import UserError
from sslmed.core.numbers import Count, Index
from sslmed.core.shared_memory import lack_of_shared_memory, shorten_sockets
from sslmed.data.batches import Draw, EndlessBatches, EvenBatches
from sslmed.data.samples import Label, Sample, StoreDataset, collate
from sslmed.data.selection import Selection, describe_selection, refuse_unequal_sizes
from sslmed.learning.device_memory import free_memory
from sslmed.preparation.store import Store

log = logging.getLogger(__name__)

PREFETCHED = 2
"""Batches that each worker of a `DataLoader` reads ahead (torch's default)."""


class StoreDataModule(LightningDataModule):
    """Loads the cases of a store, for a given number of updates.

    Training cases are shuffled endlessly with a seed. One Lightning epoch is one validation interval.

    Args:
        store: Folder written by `sslmed prepare`.
        spatial_dims: 2 trains on axial slices of volumes, a random one of each case in a batch. Evaluation uses whole
            volumes. By default the dimensions of the store.
        seed: Seed, together with the fold, of the batches and of the order of labels.
        fold: Fold of the run. Each fold has its own random numbers.
        batch_size: Images per update.
        updates: Length of training in updates, rounded to a multiple of `validations`. Give this or `epochs`.
        epochs: Length of training in passes over the training images, as in papers; of volumes, over all slices.
        validations: Number of validation passes, evenly spaced, the last one at the end.
        crop_size: Train on random crops of this size in voxels, and evaluate whole images. Only the crop is read.
            Images that are smaller are padded with zeros. Required if prepared images differ in size.
        num_workers: Processes that read ahead. 0 reads in the training process, which is fast with a memory map.
        device_memory: Fraction of a GPU's free memory, or of this job's part if jobs share it, for images and labels.
            If those of the training cases fit, they are copied there once, and those of the validation cases too if
            both fit. Nothing is then read ahead. 0 copies nothing.

    Attributes:
        spatial_dims: Dimensions of training images. The command line links it to the encoder.
        in_channels: Channels of the images. Linked to the encoder.
        selection: The cases of the run.

    Raises:
        UserError: If the store cannot be used, or an argument does not fit the store or another argument.
    """

    label: ClassVar[Label | None] = None
    foreground_fraction: float = 0.0
    final: bool = False
    selection: Selection

    def __init__(
        self,
        store: Path,
        spatial_dims: Literal[2, 3] | None = None,
        seed: int = 0,
        fold: Index = 0,
        batch_size: Count = 4,
        updates: Count | None = None,
        epochs: Count | None = None,
        validations: Count = 10,
        crop_size: tuple[Count, ...] | None = None,
        num_workers: Index = 0,
        device_memory: float = 0.5,
    ) -> None:
        super().__init__()
        if (updates is None) == (epochs is None):
            raise UserError(
                f"give the length of training in updates or in epochs, one of them: updates={updates}, epochs={epochs}"
            )
        self.store = Store(store)
        self.spatial_dims = self.store.spatial_dims if spatial_dims is None else spatial_dims
        self.seed = seed
        self.fold = fold
        self.batch_size = batch_size
        self.updates = updates
        self.epochs = epochs
        self.validations = validations
        self.crop_size = crop_size
        self.num_workers = num_workers
        self.device_memory = device_memory
        self._room: float | None = None
        self._kept: list[StoreDataset] = []
        self.in_channels = self.store.in_channels
        if self.spatial_dims > self.store.spatial_dims:
            raise UserError(f"{store}: holds images of 2 dimensions; leave out data.spatial_dims {spatial_dims}")
        if not 0 <= device_memory <= 1:
            raise UserError(f"data.device_memory must be a fraction in [0, 1], got {device_memory}")
        if crop_size is not None and len(crop_size) != self.spatial_dims:
            raise UserError(f"data.crop_size needs {self.spatial_dims} sides, got {list(crop_size)}")
        if crop_size is None:
            refuse_unequal_sizes(self.store, self.spatial_dims)

    @property
    def slices(self) -> bool:
        """Whether training is on slices of volumes."""
        return self.spatial_dims < self.store.spatial_dims

    def describe(self) -> dict[str, Any]:
        """Return the description of a run's data for tables, and for pretraining the numbers of images."""
        described = {"seed": self.seed, "fold": self.fold, "spatial_dims": self.spatial_dims}
        return described if self.selection.test else described | {"images": self.selection.counts}

    @property
    def training_cases(self) -> tuple[str, ...]:
        """The cases to train on."""
        return self.selection.training

    @property
    def training_groups(self) -> Sequence[Sequence[int]]:
        """Positions of the training cases, in groups of which batches have equally many; see `EndlessBatches`."""
        return [range(len(self.training_cases))]

    def seen(self) -> dict[str, Any]:
        """Describe what the run sees of the data, as it is in the store at the moment; see `describe_selection`.

        Raises:
            UserError: If the store is not finished.
        """
        return describe_selection(Store(self.store.root), self.selection, labelled=self.label is not None)

    @property
    def updates_per_validation(self) -> int:
        """Length of a validation interval in updates. The length of training is rounded to a multiple of it.

        Raises:
            UserError: If there are fewer updates than validation passes.
        """
        total = self.updates
        if self.epochs is not None:
            repeats = self.label is not None
            batch_size = self.batch_size if repeats else min(self.batch_size, len(self.training_cases))
            total = self.epochs * -(-self._n_training_images // batch_size)
        if total is None or total < self.validations:
            raise UserError(
                f"{total} updates are too few for {self.validations} validation passes: lower data.validations"
            )
        return round(total / self.validations)

    @property
    def _n_training_images(self) -> int:
        if self.slices:
            return sum(self.store.image(case).shape[-1] for case in self.training_cases)
        return len(self.training_cases)

    def transfer_batch_to_device(self, batch: Sample, device: torch.device, dataloader_idx: int) -> Sample:  # noqa: ARG002
        """Move the tensors to a device. Lightning's own function fails for geometries, which are frozen."""
        return {
            key: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
            for key, value in batch.items()
        }

    def teardown(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Free the images and labels on a GPU, for the next run of this process."""
        for dataset in self._kept:
            dataset.release()
        self._kept, self._room = [], None

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the batches of the next validation interval."""
        dataset = self._training_dataset(self.training_cases)
        self._keep_on_device(dataset)
        batches = EndlessBatches(
            self.training_groups,
            self.batch_size,
            length=self.updates_per_validation,
            seed=self.seed,
            fold=self.fold,
            repeats=self.label is not None,
            updates_done=lambda: 0 if self.trainer is None else self.trainer.global_step,
        )
        return self._loader(dataset, batches)

    def _training_dataset(self, cases: tuple[str, ...]) -> StoreDataset:
        """Return cases that are cropped and sliced as in training, if a sample has a seed."""
        return StoreDataset(
            self.store,
            cases,
            label=self.label,
            slices=self.slices,
            crop_size=self.crop_size,
            foreground_fraction=self.foreground_fraction,
        )

    def _pretext_validation_loader(self, cases: tuple[str, ...]) -> DataLoader[Sample]:
        """Return cases that are cropped and sliced as in training, always at the same place."""
        dataset = self._training_dataset(cases)
        self._keep_on_device(dataset)
        return self._loader(dataset, EvenBatches(len(dataset), self.batch_size, seed="validation"))

    def _evaluation_loader(self, cases: tuple[str, ...], *, native: bool, label: Label | None) -> DataLoader[Sample]:
        """Return whole cases."""
        dataset = StoreDataset(self.store, cases, label=label, native=native and self.store.labels == "map")
        if not native:  # validation cases are read many times
            self._keep_on_device(dataset)
        # Cases of different sizes do not stack, and one volume is as large as a batch of slices.
        alone = self.crop_size is not None or self.slices
        return self._loader(dataset, EvenBatches(len(dataset), 1 if alone else self.batch_size))

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def _keep_on_device(self, dataset: StoreDataset) -> None:
        """Keep a dataset on the training GPU, if there is one with enough free memory."""
        if self._room is None:
            self._room = self.device_memory * free_memory(self._device)
        if self._room > 0 and (needed := dataset.n_bytes) <= self._room:
            self._room -= needed
            self._kept.append(dataset)
            dataset.keep_on(self._device)

    def _loader(self, dataset: StoreDataset, batches: Sampler[list[Draw]]) -> DataLoader[Sample]:
        ahead = self._usable_workers(dataset) if dataset.kept_on is None else 0
        return DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=ahead,
            persistent_workers=ahead > 0,
            pin_memory=dataset.kept_on is None and self._device.type == "cuda",
        )

    def _usable_workers(self, dataset: StoreDataset) -> int:
        """Return the number of processes that read ahead: none where they cannot share memory. Batches are the same."""
        if self.num_workers == 0:
            return 0
        n_batches = PREFETCHED * self.num_workers + 1
        lack = lack_of_shared_memory(n_batches * self.batch_size * dataset.bytes_of(dataset.cases[0]))
        if lack is not None:
            log.warning("data.num_workers %d: nothing is read ahead, because %s", self.num_workers, lack)
            self.num_workers = 0
            return 0
        shorten_sockets()
        return self.num_workers
