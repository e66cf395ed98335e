"""The folds of a dataset that is not yet prepared."""

from sslmed.data.splits import Split, split_cases, strata
from sslmed.preparation.groups import merge_groups
from sslmed.preparation.readers.dataset import Dataset


def split_dataset(dataset: Dataset, *, fold: int, n_folds: int) -> Split:
    """Divide the labelled cases as training will, before anything is prepared: copies of images are not yet known.

    Raises:
        UserError: If there are too few labelled cases or patients.
    """
    labelled = [case for case in dataset.cases if case.is_labelled]
    return split_cases(
        [case.id for case in labelled],
        fold=fold,
        n_folds=n_folds,
        groups=merge_groups({case.id: [] if case.patient is None else [case.patient] for case in labelled}),
        classes=strata(dataset.labels, targets(dataset)),
    )


def targets(dataset: Dataset) -> dict[str, float]:
    """Give the class or the value of each labelled case; nothing where labels are maps."""
    return {case.id: case.label for case in dataset.cases if isinstance(case.label, int | float)}
