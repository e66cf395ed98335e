"""What labels lose by resizing to the prepared grid: Dice, and whole classes."""

import numpy as np

from sslmed.core.text import count, shorten
from sslmed.evaluation.jackknife import Floats
from sslmed.evaluation.segmentation import foreground_dice
from sslmed.preparation.store import Store


def lost_labels(store: Store) -> list[str]:
    """Warn of classes that no label map has, and of cases of which the prepared grid shows no voxel of a class."""
    occurring = frozenset[int]().union(*(store.classes(case) | store.lost(case) for case in store.labelled))
    absent = [name for index, name in enumerate(store.label_names.values()) if index not in {0, *occurring}]
    warnings = []
    if absent and store.labels == "map" and store.unprepared.isdisjoint(store.labelled):
        warnings.append(
            f"no label map has a voxel of {', '.join(absent)}: a class that is neither there nor predicted scores 1, "
            "which raises every mean over classes; leave it out of dataset.json, or add cases that have it"
        )
    cases = [case for case in store.labelled if store.lost(case)]
    if cases:
        warnings.append(
            f"{len(cases)} of {count(len(store.labelled), 'labelled case')} lose all voxels of a class on the prepared "
            f"grid, which is too coarse or cut off ({shorten(cases)}): there this class scores 0, whatever a network "
            "answers; a larger size, or --spacing auto, keeps it"
        )
    return warnings


def label_round_trip(store: Store, *, most: int = 20) -> Floats:
    """Map labels from the prepared grid back to the original grid, and score them against the original labels.

    Args:
        store: A prepared dataset.
        most: Largest number of labelled cases to use, evenly spread.

    Returns:
        Foreground Dice of each case, `(cases,)`, in [0, 1].
    """
    cases = store.labelled[:: -(-len(store.labelled) // most)] if store.labelled else ()
    return np.array(
        [
            foreground_dice(
                store.geometry(case).restore_labels(store.label(case)), store.native_label(case), store.num_classes
            )
            for case in cases
        ]
    )
