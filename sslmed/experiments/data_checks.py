"""Checks that the data suit an experiment, before anything is trained."""

import sys
from collections.abc import Iterable, Sequence

from sslmed.core.errors import UserError
from sslmed.core.text import shorten
from sslmed.data.regions import brain_tumour_regions
from sslmed.data.selection import refuse_unequal_sizes, select_labelled, split_store
from sslmed.experiments.arms import Arm
from sslmed.experiments.grid import Grid
from sslmed.experiments.runs import Run
from sslmed.experiments.seen import SeenData
from sslmed.preparation.channels import in_another_order
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.settings import is_ct
from sslmed.preparation.store import Store


def check_data(dataset: Dataset, others: Iterable[Dataset], grid: Grid) -> None:
    """Check that a dataset, and those that arms are pretrained on instead, suit what is compared.

    Raises:
        UserError: If they do not.
    """
    experiment = grid.experiment
    sliced = [arm for arm in grid.arms if Arm.parse(arm).slices]
    if sliced and dataset.spatial_dims == 2:
        raise UserError(f"{dataset.root}: holds photographs, which have no slices: leave out {', '.join(sliced)}")
    others = [*others]
    labelled = {path.resolve() for case in dataset.cases if case.is_labelled and others for path in case.images}
    for other in others:
        common = [case.id for case in other.cases if not labelled.isdisjoint(path.resolve() for path in case.images)]
        if common:
            raise UserError(
                f"{other.root}: holds labelled images of {dataset.root}, which are test cases ({shorten(common)}); "
                "take them out"
            )
        if other.spatial_dims != dataset.spatial_dims:
            kinds = {2: "photographs", 3: "volumes"}
            found, wanted = kinds[other.spatial_dims], kinds[dataset.spatial_dims]
            raise UserError(f"{other.root}: holds {found}, but {dataset.root} {wanted}")
        if len(other.modalities) == len(dataset.modalities) and other.modalities != dataset.modalities:
            names = f"{', '.join(other.modalities)}, those of {dataset.root} {', '.join(dataset.modalities)}"
            if in_another_order(other.modalities, dataset.modalities):
                raise UserError(f"{other.root}: its channels are {names}: list them in one order")
            advice = "make sure that they mean the same"
            if [*map(is_ct, other.modalities)] != [*map(is_ct, dataset.modalities)]:
                advice += ", as CT is clipped to a HU window and anything else to percentiles; a table names them CT"
            print(f"{other.root}: its channels are {names}: {advice}", file=sys.stderr)
    if not any(case.is_labelled for case in dataset.cases):
        raise UserError(f"{dataset.root}: has no labelled case, and without labels nothing can be fine-tuned or scored")
    if experiment.regions is not None:
        brain_tumour_regions(dataset.label_names)


def check_folds(runs: Sequence[Run], store: Store, n_folds: int) -> None:
    """Refuse amounts of labels that a fold does not have.

    Raises:
        UserError: If there is one.
    """
    cells = {(run.fold, run.labels): run for run in runs if run.labels is not None}
    split_seed = next(iter(cells.values())).setting("data.split_seed", 0)
    for (fold, labels), run in cells.items():
        split = split_store(store, fold=fold, n_folds=n_folds, split_seed=split_seed)
        try:
            select_labelled(store, split, labels, fold=fold, seed=run.seed or 0)
        except UserError as error:
            raise UserError(f"fold {fold}: {error}") from error


def check_sizes(runs: Sequence[Run], seen: SeenData) -> None:
    """Refuse volumes of different sizes, as far as they are prepared, for runs that do not train on crops.

    Raises:
        UserError: If there are some.
    """
    for run in {(run.arm, run.labels is None): run for run in runs}.values():
        arm = Arm.parse(run.arm)
        store = seen.store_of(arm, pretraining=run.labels is None)
        if store is not None and run.setting("data.crop_size", None) is None:
            refuse_unequal_sizes(store, 2 if arm.slices else store.spatial_dims)


def check_source(source: Dataset) -> None:
    """Check that a dataset can be pretrained on with its labels.

    Raises:
        UserError: If it has no labels.
    """
    if not any(case.is_labelled for case in source.cases):
        raise UserError(f"{source.root}: has no labelled case; give images without labels by --pool")


def refuse_common_images(pool: Store, store: Store, option: str) -> None:
    """Refuse images for pretraining among which is a labelled one, under any name: it must not see test cases.

    Raises:
        UserError: If there is one.
    """
    labelled = {store.digests[case]: case for case in store.labelled}
    common = [f"{case} is {labelled[digest]}" for case, digest in pool.digests.items() if digest in labelled]
    if common:
        raise UserError(
            f"{option}: holds labelled images of the dataset, which are test cases ({shorten(common)}); take them out"
        )
