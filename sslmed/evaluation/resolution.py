"""Loss of Dice from resizing to the prepared grid, measured on the labels alone."""

import numpy as np

from sslmed.evaluation.jackknife import Floats
from sslmed.evaluation.segmentation import foreground_dice
from sslmed.preparation.store import Store


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
