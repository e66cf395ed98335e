"""Loads images for pretext tasks: from the dataset itself, or from an external pool."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from sslmed.data.datamodule import StoreDataModule
from sslmed.data.fold import FoldData
from sslmed.data.samples import Sample
from sslmed.data.selection import select_pool, select_pretraining


class PretrainingData(FoldData):
    """Loads all training cases of the fold, whatever the amount of labels, and all unlabelled cases.

    Validation uses the fold's validation cases. Test cases are excluded unless `transductive`.

    Args:
        transductive: Add the fold's test cases to the pool. State this if you report such a result.
        kwargs: See `FoldData`.
    """

    def __init__(self, store: Path, transductive: bool = False, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        self.transductive = transductive
        self.selection = select_pretraining(self.store, self.split, transductive=transductive)

    def describe(self) -> dict[str, Any]:
        """Return `StoreDataModule.describe`, and whether the pool is transductive."""
        return super().describe() | {"transductive": self.transductive}

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the fold's validation cases."""
        return self._pretext_validation_loader(self.selection.validation)


class PoolData(StoreDataModule):
    """Loads all cases of a store other than the dataset's own, labelled or not. A tenth of them is for validation.

    Args:
        split_seed: Seed of the validation cases.
        balanced: Take as many images of each source into the batches, if the store was prepared from several folders or
            tables. By default all images are equal, so that sources count as they are large.
        kwargs: See `StoreDataModule`.

    Raises:
        UserError: If there are fewer than 4 different images.
    """

    def __init__(self, store: Path, split_seed: int = 0, balanced: bool = False, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        self.balanced = balanced
        self.selection = select_pool(self.store, split_seed=split_seed)

    @property
    def training_groups(self) -> Sequence[Sequence[int]]:
        """Positions of the training cases, of each source apart if these are balanced."""
        if not (self.balanced and self.store.sources):
            return super().training_groups
        groups: dict[str, list[int]] = {}
        for position, case in enumerate(self.training_cases):
            groups.setdefault(self.store.sources[case], []).append(position)
        return [*groups.values()]

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the pool's validation cases."""
        return self._pretext_validation_loader(self.selection.validation)
