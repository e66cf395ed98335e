"""Images for pretext tasks: of the dataset itself, or of an external pool."""

from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from sslmed.core.errors import UserError
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.fold import FoldData
from sslmed.data.samples import Sample
from sslmed.data.splits import hold_out


class PretrainingData(FoldData):
    """The fold's training cases, however many labels fine-tuning has, and all unlabelled ones.

    Validation is over the fold's validation cases. Test cases are never seen unless `transductive`.

    Args:
        transductive: Add the fold's test cases to the pool. Whoever reports such a result must say so.
        kwargs: See `FoldData`.
    """

    def __init__(self, store: Path, transductive: bool = False, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        self.transductive = transductive
        cases = (*self.split.train, *self._unlabelled(), *(self.split.test if transductive else ()))
        self.training_cases = self.store.distinct(cases)  # contrastive tasks take the others of a batch for different

    def _unlabelled(self) -> tuple[str, ...]:
        """All unlabelled cases, except those of a patient who is tested or validated on."""
        groups = self.store.groups
        held_out = {groups[case] for case in (*self.split.validation, *self.split.test)}
        return tuple(case for case in self.store.unlabelled if groups[case] not in held_out)

    def describe(self) -> dict[str, Any]:
        """See `StoreDataModule.describe`."""
        return super().describe() | {"transductive": self.transductive}

    def val_dataloader(self) -> DataLoader[Sample]:
        """The fold's validation cases."""
        return self._pretext_validation_loader(self.split.validation)


class PoolData(StoreDataModule):
    """All cases of a store that is not the dataset's own, labelled or not; a tenth of them is for validation.

    Args:
        split_seed: Draws the validation cases.
        kwargs: See `StoreDataModule`.

    Raises:
        UserError: If there are fewer than 4 cases: contrastive tasks need 2, in training and in validation.
    """

    def __init__(self, store: Path, split_seed: int = 0, **kwargs: object) -> None:
        super().__init__(store, **kwargs)  # type: ignore[arg-type]
        cases = self.store.distinct(self.store.cases)
        if len(cases) < 4:
            raise UserError(f"{store}: a pool needs at least 4 different images, got {len(cases)}")
        self.training_cases, self.validation_cases = hold_out(cases, seed=split_seed)

    def val_dataloader(self) -> DataLoader[Sample]:
        """The pool's validation cases."""
        return self._pretext_validation_loader(self.validation_cases)
