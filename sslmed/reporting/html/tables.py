"""The tables of a report, as text: all cells, scores under artefacts, label efficiency."""

from typing import Any

import numpy as np
import pandas as pd

from sslmed.evaluation.metrics import find
from sslmed.reporting.efficiency import LABELS, UPDATES
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.formatting import NONE, difference, interval, p_value, score
from sslmed.reporting.label_axis import LabelAxis

QUANTITIES = {"labels": LABELS, "updates": UPDATES}
"""Column of the table -> quantity."""


def all_cells(experiment: FinishedExperiment) -> list[dict[str, Any]]:
    """Return every score of every arm and label fraction: one table per metric, those of the figure first.

    A score of grades is shown only if the figure names it, as figures of classes without an order do not.
    """
    summary = experiment.tables.summary
    found = [metric for metric in summary["metric"].unique() if metric not in experiment.metrics]
    others = [metric for metric in found if not find(metric).of_grades]
    return [
        {"metric": _name(metric, experiment), "rows": _cells(summary[summary["metric"] == metric], experiment)}
        for metric in [*experiment.metrics, *others]
    ]


def _name(metric: str, experiment: FinishedExperiment) -> str:
    return find(metric, None if experiment.store is None else experiment.store.label_names).axis


def _cells(scores: pd.DataFrame, experiment: FinishedExperiment) -> list[dict[str, Any]]:
    most_runs = scores["n_runs"].max()
    names = ["arm", "label_fraction"]
    planned = pd.MultiIndex.from_product([experiment.arms, experiment.fractions], names=names)
    by_cell = scores.set_index(names).reindex(planned).reset_index()
    return [
        {
            "arm": cell["arm"],
            "labels": str(experiment.tables.labels.amounts[cell["label_fraction"]]),
            "n_labels": NONE if np.isnan(cell["n_labels"]) else f"{cell['n_labels']:.0f}",
            "n_runs": "0" if np.isnan(cell["n_runs"]) else f"{cell['n_runs']:.0f}",
            "incomplete": cell["n_runs"] != most_runs,
            "score": score(cell["mean"]),
            "interval": interval(cell["ci_low"], cell["ci_high"]),
            "diff": difference(cell["diff"]),
            "diff_interval": interval(cell["diff_low"], cell["diff_high"], signed=True),
            "p": p_value(cell["p"]),
            "p_holm": p_value(cell["p_holm"]),
        }
        for _, cell in by_cell.iterrows()
        if (cell["arm"], cell["label_fraction"]) in experiment.tables.planned
    ]


def robustness(experiment: FinishedExperiment) -> dict[str, Any] | None:
    """Return the scores under artefacts at the greatest amount of labels that has them; `None` if there are none."""
    table, metric = experiment.tables.robustness, experiment.metrics[0]
    if table.empty:
        return None
    most = table["label_fraction"].max()
    corrupted = table[table["label_fraction"] == most]
    clean = experiment.tables.summary.query("metric == @metric and label_fraction == @most").assign(strength=0)
    rows = []
    for artefact, of_artefact in corrupted.groupby("artefact", sort=False):
        cells = pd.concat([clean[clean["arm"].isin(of_artefact["arm"])], of_artefact])
        for arm in [arm for arm in experiment.arms if arm in {*cells["arm"]}]:
            of_arm = cells[cells["arm"] == arm].sort_values("strength")
            rows.append(
                {"artefact": artefact, "arm": arm, "cells": [_robust_cell(cell) for _, cell in of_arm.iterrows()]}
            )
    return {
        "metric": _name(metric, experiment),
        "labels": str(experiment.tables.labels.amounts[most]),
        "differs": bool(corrupted["diff"].notna().any()),
        "rows": rows,
    }


def _robust_cell(cell: "pd.Series[float]") -> dict[str, str]:
    """Return a score, and below it its difference to the baseline with its interval, or its own interval."""
    ends = interval(cell["diff_low"], cell["diff_high"], signed=True)
    below = f"{difference(cell['diff'])} {ends}" if ends else interval(cell["ci_low"], cell["ci_high"])
    return {"score": score(cell["mean"]), "below": below}


def efficiency(experiment: FinishedExperiment) -> list[dict[str, str]]:
    """Return the labels and updates that each arm needs to reach the baseline, for the figure's metrics."""
    table, labels = experiment.tables.efficiency, experiment.tables.labels
    rows = []
    for metric in experiment.metrics:
        for arm in experiment.arms:
            of_arm = table[(table["metric"] == metric) & (table["arm"] == arm)].set_index("quantity")
            if not of_arm.empty:
                row = {"arm": arm, "metric": find(metric).axis}
                for column, quantity in QUANTITIES.items():
                    found = of_arm.reindex([quantity]).iloc[0]
                    is_given = quantity in of_arm.index
                    row[column] = _reached(found["value"], quantity, labels) if is_given else NONE
                    row[column] += " (its curve gets worse)" if is_given and not found["monotone"] else ""
                    row[f"{column}_interval"] = _ends(found["ci_low"], found["ci_high"], quantity, labels)
                rows.append(row)
    return rows


def _reached(value: float, quantity: str, labels: LabelAxis) -> str:
    return "not reached" if np.isnan(value) else _amount(value, quantity, labels)


def _ends(low: float, high: float, quantity: str, labels: LabelAxis) -> str:
    if np.isnan(low):
        return NONE
    if np.isnan(high):
        return f"{_amount(low, quantity, labels)} or more"
    end = _amount(high, quantity, labels)
    return f"up to {end}" if low == 0 else f"{_amount(low, quantity, labels)} to {end}"


def _amount(value: float, quantity: str, labels: LabelAxis) -> str:
    return labels.between(value) if quantity == LABELS else f"{value:.0f}"
