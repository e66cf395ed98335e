"""Answers the question of an experiment, did pretraining help, as far as its runs can."""

from typing import Any

import pandas as pd

from sslmed.evaluation.metrics import METRIC_NAMES, lower_is_better
from sslmed.evaluation.statistics import ENOUGH_RUNS
from sslmed.experiments.arms import BASELINE, Arm
from sslmed.reporting.html.evidence import Evidence
from sslmed.reporting.html.formatting import count, difference, interval, percent, score

LEVEL = 0.05


def answer(evidence: Evidence) -> dict[str, Any]:
    """Give the answer in a sentence, what it rests on, and every difference to the baseline, for the main metric."""
    metric = evidence.metrics[0]
    cells = evidence.tables.summary[evidence.tables.summary["metric"] == metric]
    compared = cells.dropna(subset="diff")
    return {
        "metric": METRIC_NAMES.get(metric, metric),
        "headline": _headline(compared, lower_is_better(metric)),
        "grounds": [] if compared.empty else _grounds(compared),
        "rows": [_row(cells[cells["arm"] == look.arm.name], look.arm, evidence.fractions) for look in evidence.looks],
        "n_runs": int(cells["n_runs"].max()),
    }


def _headline(compared: pd.DataFrame, lower_is_better: bool) -> str:
    if compared.empty:
        return "No answer: no arm has runs that a baseline has too."
    if compared["p"].isna().all():
        return "This experiment is too small to tell."
    comparisons = count(len(compared), "comparison")
    significant = compared[compared["p_holm"] < LEVEL]
    better, worse = int((significant["diff"] > 0).sum()), int((significant["diff"] < 0).sum())
    better, worse = (worse, better) if lower_is_better else (better, worse)
    if better and worse:
        return f"It depends: better than the baseline in {better}, worse in {worse} of {comparisons}."
    if better:
        return f"Yes, in {better} of {comparisons}."
    if worse:
        return f"No: worse than the baseline in {worse} of {comparisons}, better in none."
    return f"Not shown: in none of {comparisons} is the difference to the baseline more than chance."


def _grounds(compared: pd.DataFrame) -> list[str]:
    above, below = int((compared["diff_low"] > 0).sum()), int((compared["diff_high"] < 0).sum())
    ranked = compared.sort_values("diff", kind="stable")
    lowest, highest = ranked.iloc[0], ranked.iloc[-1]
    lines = [
        f"Differences to the baseline range from {_place(lowest)} to {_place(highest)}. Of the {len(compared)}, "
        f"{above} have a 95 % interval above zero, {below} below zero, and {len(compared) - above - below} include it."
    ]
    if compared["p"].isna().all():
        return [
            *lines,
            f"With fewer than {ENOUGH_RUNS} runs per arm and label fraction, the intervals are over test cases only: "
            "they do not include the noise of training, which is how far the score would move if the same network "
            "were trained again. So there is no p-value, and a difference whose interval excludes zero may be an "
            "accident of one training run.",
        ]
    lines.append(
        f"Significant is what has p < {LEVEL} after Holm's correction for all comparisons of this score. A difference "
        "that is not significant is not shown to be zero: its interval says how large it may be."
    )
    without = int(compared["p"].isna().sum())
    if without:
        lines.append(f"{count(without, 'comparison')} with fewer than {ENOUGH_RUNS} runs without p-value.")
    return lines


def _place(cell: "pd.Series[Any]") -> str:
    return f"{difference(cell['diff'])} ({cell['arm']} with {percent(cell['label_fraction'])} of the labels)"


def _row(of_arm: pd.DataFrame, arm: Arm, fractions: list[float]) -> dict[str, Any]:
    """One cell per label fraction: a baseline's score, another's difference to it, or nothing where none has run."""
    by_fraction = of_arm.set_index("label_fraction").reindex(fractions)
    is_baseline = arm.task == BASELINE
    return {
        "arm": arm.name,
        "is_baseline": is_baseline,
        "cells": [
            {
                "value": score(cell["mean"]) if is_baseline else difference(cell["diff"]),
                "interval": interval(cell["ci_low"], cell["ci_high"])
                if is_baseline
                else interval(cell["diff_low"], cell["diff_high"], signed=True),
                "side": "above" if cell["diff_low"] > 0 else "below" if cell["diff_high"] < 0 else "",
                "significant": bool(cell["p_holm"] < LEVEL),
                "n_runs": 0 if pd.isna(cell["n_runs"]) else int(cell["n_runs"]),
            }
            for _, cell in by_fraction.iterrows()
        ],
    }
