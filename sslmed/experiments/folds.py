"""The folds of a dataset that is not yet prepared: copies of images are not yet known."""

from dataclasses import dataclass

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.splits import Split, count_labels, split_cases, strata
from sslmed.preparation.groups import merge_groups
from sslmed.preparation.readers.dataset import Dataset


@dataclass(frozen=True)
class FoldSizes:
    """How many cases there are for what in a fold.

    Attributes:
        fold: Number of the fold.
        train: Training cases.
        validation: Validation cases.
        test: Test cases.
        unlabelled: Cases without labels that pretraining may see: none of a patient who is validated or tested on.
        classes: Classes that need a label each; 1 for volumes.
    """

    fold: int
    train: int
    validation: int
    test: int
    unlabelled: int
    classes: int

    def n_labels(self, amount: LabelAmount) -> int:
        """Number of labelled training cases that an amount stands for.

        Raises:
            UserError: If the fold has not as many training cases, or there are fewer labels than classes.
        """
        try:
            return count_labels(amount, self.train, n_classes=self.classes)
        except UserError as error:
            raise UserError(f"fold {self.fold}: {error}") from error


def fold_sizes(dataset: Dataset, *, fold: int, n_folds: int) -> FoldSizes:
    """Count the cases of a fold as training will, but for copies of images.

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
    """Divide the labelled cases as training will.

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
    """Give the class or the value of each labelled case; nothing where labels are maps."""
    return {case.id: case.label for case in dataset.cases if isinstance(case.label, int | float)}


def _patients(dataset: Dataset) -> dict[str, str]:
    """Case id -> a name that it shares with the other cases of its patient."""
    return merge_groups({case.id: [] if case.patient is None else [case.patient] for case in dataset.cases})
