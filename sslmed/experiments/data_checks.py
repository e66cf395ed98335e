"""Checks that the data suit an experiment, before anything is trained."""

import sys

from sslmed.core.errors import UserError
from sslmed.core.text import shorten
from sslmed.data.regions import brain_tumour_regions
from sslmed.data.selection import select_labelled, split_store
from sslmed.experiments.arms import Arm
from sslmed.experiments.grid import Grid
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.store import Store


def check_data(dataset: Dataset, pool: Dataset | None, grid: Grid) -> None:
    """Check that a dataset, and an external pool, suit what is compared.

    Raises:
        UserError: If they do not.
    """
    experiment = grid.experiment
    sliced = [arm for arm in grid.arms if Arm.parse(arm).slices]
    if sliced and dataset.spatial_dims == 2:
        raise UserError(f"{dataset.root}: holds photographs, which have no slices: leave out {', '.join(sliced)}")
    if pool is not None and pool.spatial_dims != dataset.spatial_dims:
        kinds = {2: "photographs", 3: "volumes"}
        found, wanted = kinds[pool.spatial_dims], kinds[dataset.spatial_dims]
        raise UserError(f"{pool.root}: holds {found}, but {dataset.root} {wanted}")
    if pool is not None and len(pool.modalities) == len(dataset.modalities) and pool.modalities != dataset.modalities:
        names = f"{', '.join(pool.modalities)}, those of {dataset.root} {', '.join(dataset.modalities)}"
        print(f"{pool.root}: its channels are {names}: make sure that they mean the same", file=sys.stderr)
    if not any(case.is_labelled for case in dataset.cases):
        raise UserError(f"{dataset.root}: has no labelled case, and without labels nothing can be fine-tuned or scored")
    if experiment.regions is not None:
        brain_tumour_regions(dataset.label_names)


def check_folds(store: Store, grid: Grid) -> None:
    """Refuse amounts of labels that a fold does not have.

    Raises:
        UserError: If there is one.
    """
    for fold in grid.folds:
        split = split_store(store, fold=fold, n_folds=grid.preset.n_folds)
        for amount in grid.labels:
            try:
                select_labelled(store, split, amount, fold=fold, seed=grid.seeds[0])
            except UserError as error:
                raise UserError(f"fold {fold}: {error}") from error


def refuse_common_images(pool: Store, store: Store) -> None:
    """Refuse a pool that contains a labelled image, under any name: pretraining must not see test cases.

    Raises:
        UserError: If it does.
    """
    labelled = {store.digests[case]: case for case in store.labelled}
    common = [f"{case} is {labelled[digest]}" for case, digest in pool.digests.items() if digest in labelled]
    if common:
        raise UserError(
            f"the external pool holds labelled images of the dataset, which are test cases ({shorten(common)}); take "
            "them out of the pool"
        )
