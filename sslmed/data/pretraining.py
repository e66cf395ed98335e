"""Loads images for pretext tasks: from the dataset itself, or from an external pool."""

from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from sslmed.core.errors import UserError
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.fold import FoldData
from sslmed.data.samples import Sample
from sslmed.data.splits import hold_out


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
        cases = (*self.split.train, *self._unlabelled(), *(self.split.test if transductive else ()))
        self.training_cases = self.store.distinct(cases)  # contrastive tasks treat other cases as different images

    def _unlabelled(self) -> tuple[str, ...]:
        """Return all unlabelled cases, except those of patients in the validation or test set."""
        groups = self.store.groups
        held_out = {groups[case] for case in (*self.split.validation, *self.split.test)}
        return tuple(case for case in self.store.unlabelled if groups[case] not in held_out)

    def describe(self) -> dict[str, Any]:
        """Return `StoreDataModule.describe`, and whether the pool is transductive."""
        return super().describe() | {"transductive": self.transductive}

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the fold's validation cases."""
        return self._pretext_validation_loader(self.split.validation)


class PoolData(StoreDataModule):
    """Loads all cases of a store other than the dataset's own, labelled or not. A tenth of them is for validation.

    Args:
        split_seed: Seed of the validation cases.
        kwargs: See `StoreDataModule`.

    Raises:
        UserError: If there are fewer than 4 different images: contrastive tasks need 2 in training and 2 in validation.
    """

    def __init__(self, store: Path, split_seed: int = 0, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        cases = self.store.distinct(self.store.cases)
        if len(cases) < 4:
            raise UserError(f"{store}: a pool needs at least 4 different images, got {len(cases)}")
        self.training_cases, self.validation_cases = hold_out(cases, seed=split_seed)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the pool's validation cases."""
        return self._pretext_validation_loader(self.validation_cases)
