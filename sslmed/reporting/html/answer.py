"""Answers the question of an experiment, whether pretraining helped, from its runs."""

from typing import Any

import pandas as pd

from sslmed.core.text import count
from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import ENOUGH_RUNS
from sslmed.experiments.arms import BASELINE, Arm, baseline_of
from sslmed.reporting.captions import NO_DIFFERENCES, holm_family, null_band, validity
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.formatting import difference, effect, interval, listing, p_value, score
from sslmed.reporting.summary import main_fractions

LEVEL = 0.05


def answer(experiment: FinishedExperiment) -> dict[str, Any]:
    """Return the answer in a sentence, its grounds, the test of each arm, and every cell, for the main metric."""
    metric = experiment.metrics[0]
    tables = experiment.tables
    cells = tables.summary[tables.summary["metric"] == metric]
    arms = [style.arm for style in experiment.arm_styles]
    differ = bool(cells["diff"].notna().any())
    return {
        "metric": find(metric).axis,
        "headline": headline(
            tables.tests,
            can_be_compared=_can_be_compared(cells, arms),
            lower_is_better=not find(metric).higher_is_better,
        )
        if any(arm.is_pretrained for arm in arms)
        else "No answer: no arm is pretrained.",
        "warnings": experiment.pretraining_warnings(losses=False),
        "amounts": _amounts(experiment),
        "grounds": _grounds(experiment),
        "tests": [_test(row) for arm in arms for _, row in tables.tests[tables.tests["arm"] == arm.name].iterrows()],
        "shows_differences": differ,
        "rows": [_row(cells[cells["arm"] == arm.name], arm, experiment, differ=differ) for arm in arms],
        "n_runs": int(cells["n_runs"].max()),
        "is_uneven": bool(cells["n_runs"].nunique() > 1),
        "interval": "95 % interval over test cases" if cells["n_runs"].max() < ENOUGH_RUNS else "95 % interval",
    }


def _can_be_compared(cells: pd.DataFrame, arms: list[Arm]) -> bool:
    """Whether any arm and its baseline have runs at the same label fraction."""
    run = {name: set(of_arm["label_fraction"]) for name, of_arm in cells.groupby("arm")}
    pretrained = [arm.name for arm in arms if arm.is_pretrained]
    return any(run.get(name, set()) & run.get(baseline_of(name), set()) for name in pretrained)


def headline(tests: pd.DataFrame, *, can_be_compared: bool, lower_is_better: bool = False) -> str:
    """Answer in a sentence.

    Args:
        tests: See `sslmed.reporting.arm_tests.compare_arms`.
        can_be_compared: Whether an arm and its baseline have run at all.
        lower_is_better: Whether the score is an error.
    """
    if not can_be_compared:
        return "No answer: no arm has runs with an amount of labels that its baseline has too."
    if tests.empty:
        return "This experiment is too small to tell."
    significant = tests[tests["p_holm"] < LEVEL]
    gain = -significant["diff"] if lower_is_better else significant["diff"]
    better, worse = ([*map(effect, significant[side].to_dict("records"))] for side in (gain > 0, gain < 0))
    of_all = f"of {count(len(tests), 'arm')}"
    if better and worse:
        return f"It depends on the task: {listing(better)} helped, {listing(worse)} did harm."
    if better:
        return f"Yes, with {len(better)} {of_all}: {listing(better)}."
    if worse:
        return f"No: none {of_all} is better than the baseline. Worse: {listing(worse)}."
    largest = effect(tests.sort_values("diff", key=abs).iloc[-1].to_dict())
    return f"Not shown: none {of_all} differs from the baseline by more than chance. The largest difference: {largest}."


def _amounts(experiment: FinishedExperiment) -> str:
    """Name the amounts of labels that tests average over."""
    amounts = experiment.tables.labels.amounts
    tested = main_fractions(experiment.tables.results)
    names = [str(amount) for fraction, amount in amounts.items() if fraction in tested]
    return "all amounts of labels" if len(names) == len(amounts) else f"{listing(names)} of the labels"


def _grounds(experiment: FinishedExperiment) -> list[str]:
    """Explain the grounds of the answer, in paragraphs."""
    tables = experiment.tables
    lines = experiment.pretraining_warnings(losses=True)
    if not tables.tests.empty:
        lines.append(
            f"Each arm is tested once, on its difference to the baseline averaged over {_amounts(experiment)}. "
            f"{holm_family(tables)} A difference is significant if its p is then below {LEVEL}. One that is not "
            f"significant may still exist: its interval says how large it may be. {validity(tables)}"
        )
    elif (tables.summary["n_runs"] < ENOUGH_RUNS).any():
        lines.append(
            f"{NO_DIFFERENCES} The intervals of such scores are over test cases only: they do not include the noise of "
            "training, i.e. how much a score would change if the same network were trained again. For the same reason "
            "there is no p-value and no label efficiency."
        )
    untested = [
        style.arm.name
        for style in experiment.arm_styles
        if style.arm.is_pretrained and style.arm.name not in set(tables.tests["arm"])
    ]
    if untested and not tables.tests.empty:
        lines.append(f"Not tested, as fewer than {ENOUGH_RUNS} runs have {_amounts(experiment)}: {listing(untested)}.")
    if not tables.null_bands.empty:
        lines.append(
            f"{null_band(tables)} Null arms are a control: they are not tested and not counted in Holm's method."
        )
    return lines


def _test(row: "pd.Series[Any]") -> dict[str, Any]:
    return {
        "arm": row["arm"],
        "n_runs": f"{row['n_runs']:.0f}",
        "diff": difference(row["diff"]),
        "interval": interval(row["diff_low"], row["diff_high"], signed=True),
        "plain_interval": interval(row["diff_plain_low"], row["diff_plain_high"], signed=True),
        "p": p_value(row["p"]),
        "p_holm": p_value(row["p_holm"]),
        "significant": bool(row["p_holm"] < LEVEL),
    }


def _row(of_arm: pd.DataFrame, arm: Arm, experiment: FinishedExperiment, *, differ: bool) -> dict[str, Any]:
    """Return one cell per label fraction: a score, or the difference to the baseline, or nothing without runs."""
    by_fraction = of_arm.set_index("label_fraction").reindex(experiment.fractions)
    outcomes = ("better", "worse")[:: find(experiment.metrics[0]).gain]
    shows_score = arm.task == BASELINE or not differ
    return {
        "arm": arm.name,
        "is_baseline": arm.task == BASELINE,
        "cells": [
            {
                "value": score(cell["mean"]) if shows_score else difference(cell["diff"]),
                "interval": interval(cell["ci_low"], cell["ci_high"])
                if shows_score
                else interval(cell["diff_low"], cell["diff_high"], signed=True),
                "side": "above" if cell["diff_low"] > 0 else "below" if cell["diff_high"] < 0 else "",
                "outcome": outcomes[0] if cell["diff_low"] > 0 else outcomes[1] if cell["diff_high"] < 0 else "",
                "significant": bool(cell["p_holm"] < LEVEL),
                "n_runs": 0 if pd.isna(cell["n_runs"]) else int(cell["n_runs"]),
                "planned": (arm.name, fraction) in experiment.tables.planned,
            }
            for fraction, cell in by_fraction.iterrows()
        ],
    }
