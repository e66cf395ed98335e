"""What each run of a plan sees of the data: only changes of this make a run stale."""

from dataclasses import dataclass
from functools import lru_cache

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.selection import (
    data_fingerprint,
    describe_selection,
    select_labelled,
    select_pool,
    select_pretraining,
    split_store,
    split_without_test,
)
from sslmed.experiments.arms import Arm
from sslmed.preparation.store import Store

ABSENT = "absent"
"""Fingerprint of a run that the data no longer allow, as there are fewer labels now; no run records it."""


@dataclass(frozen=True)
class SeenData:
    """Computes the fingerprints that runs will record in their `data.json`.

    Attributes:
        store: The dataset as it is, or will be, prepared.
        pool: The external pool, if there is one.
        source: The labelled dataset of the arm `supervised`, if there is one.
    """

    store: Store
    pool: Store | None = None
    source: Store | None = None

    def store_of(self, arm: Arm, *, pretraining: bool) -> Store | None:
        """Return the store that the runs of an arm train on; `None` if it is not here."""
        if not pretraining or arm.sees_the_dataset:
            return self.store
        return self.source if arm.is_supervised else self.pool

    def of_pretraining(
        self, arm: Arm, *, fold: int, n_folds: int, split_seed: int, final: bool, transductive: bool
    ) -> str | None:
        """Return the fingerprint of a pretraining run: its images, and labels if it sees them; `None` if not here."""
        if arm.is_supervised:
            return None if self.source is None else _of_source(self.source, fold, split_seed)
        if arm.external:
            return None if self.pool is None else _of_pool(self.pool, split_seed)
        return _of_pretraining(self.store, fold, n_folds, split_seed, final, transductive)


@lru_cache
def _of_pool(store: Store, split_seed: int) -> str:
    return data_fingerprint(describe_selection(store, select_pool(store, split_seed=split_seed), labelled=False))


@lru_cache
def _of_source(store: Store, fold: int, split_seed: int) -> str:
    split = split_without_test(store, split_seed=split_seed)
    selection = select_labelled(store, split, LabelAmount(1.0), fold=fold, seed=0)
    return data_fingerprint(describe_selection(store, selection, labelled=True))


@lru_cache
def _of_pretraining(store: Store, fold: int, n_folds: int, split_seed: int, final: bool, transductive: bool) -> str:
    split = split_store(store, fold=fold, n_folds=n_folds, split_seed=split_seed, final=final)
    selection = select_pretraining(store, split, transductive=transductive)
    return data_fingerprint(describe_selection(store, selection, labelled=False))


@lru_cache
def seen_in_finetuning(
    store: Store,
    amount: LabelAmount,
    *,
    fold: int,
    n_folds: int,
    split_seed: int,
    final: bool,
    seed: int,
    pretraining: str | None,
) -> str:
    """Return the fingerprint of a fine-tuning run: images and labels of training, validation and test cases."""
    split = split_store(store, fold=fold, n_folds=n_folds, split_seed=split_seed, final=final)
    try:
        selection = select_labelled(store, split, amount, fold=fold, seed=seed)
    except UserError:
        return ABSENT
    return data_fingerprint(describe_selection(store, selection, labelled=True), pretraining)
