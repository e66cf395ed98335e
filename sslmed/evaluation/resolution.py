"""What resizing to the prepared grid costs: the Dice on the original grid of the labels themselves."""

import numpy as np

from sslmed.evaluation.jackknife import Floats
from sslmed.evaluation.segmentation import foreground_dice
from sslmed.preparation.store import Store


def label_round_trip(store: Store, *, most: int = 20) -> Floats:
    """Map labels from the prepared grid back to the original one, and compare them with the original labels.

    Args:
        store: A prepared dataset.
        most: Number of labelled cases to look at, evenly spread.

    Returns:
        Foreground Dice of each case.
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
