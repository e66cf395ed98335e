"""Which class test images have, and which one they were given."""

from typing import Any

import numpy as np

from sslmed.core.text import percent
from sslmed.reporting.html.evidence import Evidence


def confusion(evidence: Evidence) -> dict[str, Any] | None:
    """Count, for every arm and label fraction, over all folds and seeds.

    Returns:
        `classes`, and `cells`: arm -> percentage -> counts `[truth][prediction]`; nothing if the task is another.
    """
    cases = evidence.tables.cases
    if "probability_0" not in cases:
        return None
    n_classes = sum(column.startswith("probability_") for column in map(str, cases.columns))
    cells: dict[str, dict[str, list[list[int]]]] = {}
    for look in evidence.looks:
        of_arm = cases[cases["arm"] == look.arm.name]
        for fraction, answers in of_arm.groupby("label_fraction"):
            counts = np.zeros((n_classes, n_classes), dtype=np.int64)
            np.add.at(counts, (answers["truth"].to_numpy(int), answers["prediction"].to_numpy(int)), 1)
            cells.setdefault(look.arm.name, {})[percent(float(fraction))] = counts.tolist()  # type: ignore[arg-type]
    names = [] if evidence.store is None else [*evidence.store.label_names.values()]
    return {"classes": names or [f"class {index}" for index in range(n_classes)], "cells": cells}
