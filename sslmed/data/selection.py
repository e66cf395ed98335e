"""Selects the cases of a run from a store, for the plan of an experiment and for the data modules alike. No torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.splits import Split, count_labels, hold_out, label_order, split_cases, strata
from sslmed.preparation.store import Store

PARTS = ("training", "validation", "test")
COPIES = "copies of another image"
HELD_OUT = "of a patient, or a copy, in the validation or test set"


@dataclass(frozen=True)
class Selection:
    """Holds the cases that a run sees.

    Attributes:
        training: Cases to train on, in order.
        validation: Validation cases.
        test: Test cases.
        left_out: Reason -> number of images that pretraining could have seen otherwise.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Number of all images by what pretraining does with them: `used` for training, for validation, or left out."""
        return {
            "used": len(self.training),
            "for validation": len({*self.validation} - {*self.training}),
            **self.left_out,
        }


def split_store(store: Store, *, fold: int, n_folds: int, split_seed: int = 0, final: bool = False) -> Split:
    """Split the labelled cases of a store. Patients and copies of an image stay together.

    Args:
        store: The store.
        fold: The fold that is the test set.
        n_folds: Number of folds.
        split_seed: Seed of the folds and the validation sets.
        final: Train on all labelled cases and test none. The validation cases are then training cases as well.

    Raises:
        UserError: If there are too few labelled cases or patients.
    """
    split = split_cases(
        store.labelled,
        fold=fold,
        n_folds=n_folds,
        split_seed=split_seed,
        groups=store.groups,
        classes=strata(store.labels, targets(store)),
    )
    return Split(tuple(sorted(store.labelled)), split.validation, ()) if final else split


def split_without_test(store: Store, *, split_seed: int = 0) -> Split:
    """Divide the labelled cases of a store into training cases and a tenth for validation, to pretrain on labels.

    Raises:
        UserError: If there are too few labelled cases or patients.
    """
    n_parts = min(10, len({store.groups[case] for case in store.labelled}))
    split = split_store(store, fold=0, n_folds=n_parts, split_seed=split_seed)
    return Split(tuple(sorted((*split.train, *split.validation))), split.test, ())


def refuse_unequal_sizes(store: Store, spatial_dims: int) -> None:
    """Refuse volumes that do not stack to batches, as they are prepared in different sizes and are not cropped.

    Args:
        store: The store; its cases that are not prepared yet do not count.
        spatial_dims: Dimensions of training images, for the advice.

    Raises:
        UserError: If there are some.
    """
    if store.settings.geometry != "spacing":
        return
    sizes = {store.image(case).shape[1:] for case in store.cases if case not in store.unprepared}
    if len(sizes) > 1:
        raise UserError(
            f"{store.root}: volumes differ in size ({min(sizes)} to {max(sizes)} voxels) and do not stack: "
            f"train on crops, e.g. --data.crop_size {str([64] * spatial_dims).replace(' ', '')}; "
            "`sslmed reproduce --spacing auto` chooses them"
        )


def targets(store: Store) -> dict[str, float]:
    """Return the class index or the value of each labelled case; an empty mapping for label maps."""
    if store.labels == "class":
        return {case: index for case in store.labelled for index in store.classes(case)}
    return {case: store.value(case) for case in store.labelled} if store.labels == "value" else {}


def select_labelled(store: Store, split: Split, amount: LabelAmount, *, fold: int, seed: int) -> Selection:
    """Select the cases of fine-tuning: as many of the fold's training cases as labels may be used.

    Raises:
        UserError: If there are fewer training cases than labels, or, for classes, fewer labels than classes.
    """
    class_sets = {case: store.classes(case) for case in split.train}
    is_class = store.labels == "class"
    order = label_order(split.train, fold=fold, seed=seed, class_sets=class_sets, stratify=is_class)
    n_classes = len(frozenset().union(*class_sets.values())) if is_class else 1
    n_labels = count_labels(amount, len(split.train), n_classes=n_classes)
    return Selection(order[:n_labels], split.validation, split.test)


def select_pretraining(store: Store, split: Split, *, transductive: bool) -> Selection:
    """Select the cases of pretraining: the fold's training cases and all unlabelled ones.

    Unlabelled cases of patients in the validation or test set are left out, and so is every copy of an image but one,
    because contrastive tasks treat other cases as different images.
    """
    held_out = {store.groups[case] for case in {*split.validation, *split.test}.difference(split.train)}
    unlabelled = [case for case in store.unlabelled if store.groups[case] not in held_out]
    cases = (*split.train, *unlabelled, *(split.test if transductive else ()))
    training = store.distinct(cases)
    left_out = {
        "for testing": 0 if transductive else len(split.test),
        COPIES: len(cases) - len(training),
        HELD_OUT: len(store.unlabelled) - len(unlabelled),
    }
    return Selection(training, split.validation, left_out=_counted(store, left_out))


def select_pool(store: Store, *, split_seed: int = 0) -> Selection:
    """Select the cases of pretraining on an external pool: all, of which a tenth is for validation.

    Raises:
        UserError: If there are fewer than 4 different images: contrastive tasks need 2 in training and 2 in validation.
    """
    cases = store.distinct(store.cases)
    if len(cases) < 4:
        raise UserError(f"{store.root}: a pool needs at least 4 different images, got {len(cases)}")
    left_out = {COPIES: len(store.cases) - len(cases)}
    return Selection(*hold_out(cases, seed=split_seed), left_out=_counted(store, left_out))


def _counted(store: Store, left_out: Mapping[str, int]) -> dict[str, int]:
    """Add what never came into the store, and drop reasons for which nothing was left out."""
    counts = {**left_out, "cannot be used": len(store.problems)}
    return {reason: count for reason, count in counts.items() if count}


def describe_selection(store: Store, selection: Selection, *, labelled: bool) -> dict[str, Any]:
    """Describe what a run sees of the data: it has other results if, and only if, this changes.

    Args:
        store: The store of the cases.
        selection: The cases of the run.
        labelled: Whether the run sees the cases' labels.

    Returns:
        `preparation`; `labels`, the names of the classes, if it sees them; and `training`, `validation` and `test`:
        case -> hash of its image, followed by its label.
    """

    def identify(case: str) -> str:
        return f"{store.image_hash(case)} {store.label_identity(case)}" if labelled else store.image_hash(case)

    parts = {part: getattr(selection, part) for part in PARTS}
    return {
        "preparation": store.preparation,
        **({"labels": {str(value): name for value, name in store.label_names.items()}} if labelled else {}),
        **{part: {case: identify(case) for case in cases} for part, cases in parts.items() if cases},
    }


def data_fingerprint(described: Mapping[str, Any], pretraining: str | None = None) -> str:
    """Return 16 hexadecimal digits of what a run sees.

    Args:
        described: Result of `describe_selection`.
        pretraining: Fingerprint of the pretraining run that it starts from.
    """
    return hashlib.sha256(json.dumps([described, pretraining]).encode()).hexdigest()[:16]


def changed_data(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name what differs between two descriptions of the same run's data: cases, the preparation, or the labels.

    Args:
        old: A result of `describe_selection`, as read from JSON.
        new: Another one.
    """
    general = [key for key in ("preparation", "labels") if old.get(key) != new.get(key)]
    parts = [({**old.get(part, {})}, {**new.get(part, {})}) for part in PARTS]
    cases = {case for before, now in parts for case in before.keys() | now.keys() if before.get(case) != now.get(case)}
    return [*general, *sorted(cases)]
