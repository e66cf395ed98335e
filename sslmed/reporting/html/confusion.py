"""Confusion matrices of test images: true class against predicted class."""

from typing import Any

import numpy as np

from sslmed.evaluation.metrics import find
from sslmed.reporting.html.experiment import FinishedExperiment


def confusion(experiment: FinishedExperiment) -> dict[str, Any] | None:
    """Count, for every arm and label fraction, over all folds and seeds.

    Returns:
        `classes`, and `cells`: arm -> amount of labels -> counts `[truth][prediction]`; nothing if the task is another.
    """
    cases = experiment.tables.cases
    if find(experiment.metrics[0]).kind != "classification":
        return None
    n_classes = sum(column.startswith("probability_") for column in map(str, cases.columns))
    cells: dict[str, dict[str, list[list[int]]]] = {}
    for style in experiment.arm_styles:
        of_arm = cases[cases["arm"] == style.arm.name]
        for fraction, answers in of_arm.groupby("label_fraction"):
            counts = np.zeros((n_classes, n_classes), dtype=np.int64)
            np.add.at(counts, (answers["truth"].to_numpy(int), answers["prediction"].to_numpy(int)), 1)
            amount = experiment.tables.labels.amounts[float(fraction)]  # type: ignore[arg-type]
            cells.setdefault(style.arm.name, {})[str(amount)] = counts.tolist()
    names = [] if experiment.store is None else [*experiment.store.label_names.values()]
    return {"classes": names or [f"class {index}" for index in range(n_classes)], "cells": cells}
