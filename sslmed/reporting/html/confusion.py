"""Which grade test images have, and which one they were given."""

from typing import Any

import numpy as np

from sslmed.reporting.html.evidence import Evidence


def confusion(evidence: Evidence) -> dict[str, Any] | None:
    """Count, for every arm and label fraction, over all folds and seeds.

    Returns:
        `classes`, and `cells`: arm -> amount of labels -> counts `[truth][prediction]`; nothing if the task is another.
    """
    cases = evidence.tables.cases
    if "truth" not in cases:
        return None
    n_classes = sum(column.startswith("probability_") for column in map(str, cases.columns))
    cells: dict[str, dict[str, list[list[int]]]] = {}
    for look in evidence.looks:
        of_arm = cases[cases["arm"] == look.arm.name]
        for fraction, answers in of_arm.groupby("label_fraction"):
            counts = np.zeros((n_classes, n_classes), dtype=np.int64)
            np.add.at(counts, (answers["truth"].to_numpy(int), answers["prediction"].to_numpy(int)), 1)
            amount = evidence.tables.labels.amounts[float(fraction)]  # type: ignore[arg-type]
            cells.setdefault(look.arm.name, {})[str(amount)] = counts.tolist()
    names = [] if evidence.store is None else [*evidence.store.label_names.values()]
    return {"classes": names or [f"grade {index}" for index in range(n_classes)], "cells": cells}
