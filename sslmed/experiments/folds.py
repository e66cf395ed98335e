"""The folds of a dataset that is not yet prepared."""

from sslmed.data.splits import Split, split_cases
from sslmed.preparation.groups import merge_groups
from sslmed.preparation.readers.fundus import Photo
from sslmed.preparation.readers.layouts import Dataset


def split_dataset(dataset: Dataset, *, fold: int, n_folds: int) -> Split:
    """Divide the labelled cases as training will, before anything is prepared: copies of images are not yet known.

    Raises:
        UserError: If there are too few labelled cases or patients.
    """
    labelled = [case for case in dataset.cases if case.is_labelled]
    photos = [case for case in labelled if isinstance(case, Photo)]
    patients = merge_groups({photo.id: [] if photo.patient is None else [photo.patient] for photo in photos})
    classes = {photo.id: photo.grade for photo in photos}
    ids = [case.id for case in labelled]
    if not photos:
        return split_cases(ids, fold=fold, n_folds=n_folds)
    return split_cases(ids, fold=fold, n_folds=n_folds, groups=patients, classes=classes)
