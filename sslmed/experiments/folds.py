"""Folds of a dataset before it is prepared, when copies of images are not yet known."""

from dataclasses import dataclass

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.splits import Split, count_labels, split_cases, strata
from sslmed.preparation.groups import merge_groups
from sslmed.preparation.readers.dataset import Dataset


@dataclass(frozen=True)
class FoldSizes:
    """Holds the numbers of cases of a fold.

    Attributes:
        fold: Number of the fold.
        train: Training cases.
        validation: Validation cases.
        test: Test cases.
        unlabelled: Unlabelled cases for pretraining; none is of a patient in the validation or test set.
        classes: Number of classes that need at least one label each; 1 for volumes.
    """

    fold: int
    train: int
    validation: int
    test: int
    unlabelled: int
    classes: int

    def n_labels(self, amount: LabelAmount) -> int:
        """Compute the number of labelled training cases for an amount of labels.

        Raises:
            UserError: If the fold has fewer training cases, or there are fewer labels than classes.
        """
        try:
            return count_labels(amount, self.train, n_classes=self.classes)
        except UserError as error:
            raise UserError(f"fold {self.fold}: {error}") from error


def fold_sizes(dataset: Dataset, *, fold: int, n_folds: int) -> FoldSizes:
    """Count the cases of a fold as training does, except that copies of images are not known.

    Raises:
        UserError: If there are too few labelled cases or patients.
    """
    patients = _patients(dataset)
    split = split_dataset(dataset, fold=fold, n_folds=n_folds)
    held_out = {patients[case] for case in (*split.validation, *split.test)}
    unlabelled = [case.id for case in dataset.cases if not case.is_labelled]
    classes = targets(dataset) if dataset.labels == "class" else {}
    return FoldSizes(
        fold=fold,
        train=len(split.train),
        validation=len(split.validation),
        test=len(split.test),
        unlabelled=sum(patients[case] not in held_out for case in unlabelled),
        classes=len({classes.get(case) for case in split.train}),
    )


def split_dataset(dataset: Dataset, *, fold: int, n_folds: int) -> Split:
    """Split the labelled cases as training does.

    Raises:
        UserError: If there are too few labelled cases or patients.
    """
    labelled = [case for case in dataset.cases if case.is_labelled]
    return split_cases(
        [case.id for case in labelled],
        fold=fold,
        n_folds=n_folds,
        groups=_patients(dataset),
        classes=strata(dataset.labels, targets(dataset)),
    )


def targets(dataset: Dataset) -> dict[str, float]:
    """Return the class or the value of each labelled case; empty where labels are maps."""
    return {case.id: case.label for case in dataset.cases if isinstance(case.label, int | float)}


def _patients(dataset: Dataset) -> dict[str, str]:
    """Map case id -> a name common to all cases of the same patient."""
    return merge_groups({case.id: [] if case.patient is None else [case.patient] for case in dataset.cases})
