"""Plots how often intervals and tests are wrong, from the tables that the simulations and null_arms.py write.

python scripts/statistics_figure.py
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import binomtest
from simulate_families import ARMS, FAMILIES
from simulate_intervals import BASE, CSV, VARIED

from sslmed.reporting.figures import STYLE

TRAINED = CSV.with_name("null_arms.csv")
TITLES = {"n_cases": "cases", "n_folds": "folds", "seeds": "seeds per fold"}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"color": "#D55E00", "linestyle": "--", "fillstyle": "none"},
    "corrected": {"color": "#0072B2", "linestyle": "-", "fillstyle": "full"},
}
MARKERS = "os^"
NOMINAL: dict[str, Any] = {"color": "#404040", "linestyle": ":", "linewidth": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/statistics.png"))
    options = parser.parse_args()
    with matplotlib.rc_context(STYLE | {"font.size": 8, "axes.titlesize": 9}):
        draw(pd.read_csv(CSV), pd.read_csv(FAMILIES), pd.read_csv(TRAINED)).savefig(options.out, dpi=180)


def draw(simulated: pd.DataFrame, families: pd.DataFrame, trained: pd.DataFrame) -> Figure:
    """Draw the simulations over cases, folds, seeds and families of tests, and the trained networks."""
    figure = Figure(figsize=(5.6, 7.6), layout="constrained")
    *over, last = figure.subplots(3, 2, sharey=True).flat
    primary = simulated[simulated["label_fraction"] == "mean"]
    panels = [
        (TITLES[name], values, [_where(primary, BASE | {name: value}) for value in values])
        for name, values in VARIED.items()
    ]
    panels += [
        (f"arms, seeds: {seeds}", ARMS, [_where(families, {"arms": n, "folds": 5, "seeds": seeds}) for n in ARMS])
        for seeds in (1, 3)
    ]
    for axes, (title, values, tables) in zip(over, panels, strict=True):
        for rows, marker in zip(tables, MARKERS, strict=False):
            _curves(axes, rows, 100 * rows["from_cases"], marker)
        keys = [
            Line2D([], [], color="black", marker=marker, linestyle="", label=f"{value}")
            for value, marker in zip(values, MARKERS, strict=False)
        ]
        axes.legend(handles=keys, title=title, loc="upper left", frameon=False)
        axes.set_xlabel("variance from training cases, %")
    rows = trained.rename(columns={"false_positives": "corrected", "plain_false_positives": "plain"})
    _curves(last, rows, rows["n_labels"], "D")
    keys = [Line2D([], [], marker="D", label=name, **style) for name, style in KINDS.items()]
    last.legend(handles=[*keys, Line2D([], [], label="nominal, 5 %", **NOMINAL)], loc="upper right", frameon=False)
    last.set_xlabel("labelled cases")
    titles = [*["intervals, simulated"] * 3, *["Holm's tests, simulated"] * 2, "intervals, trained"]
    for axes, letter, title in zip((*over, last), "abcdef", titles, strict=True):
        axes.set_title(f"{letter}  {title}", fontweight="bold")
        axes.axhline(5, zorder=0, **NOMINAL)
    figure.supylabel("wrong intervals (d, e: experiments with a false positive), %", fontsize=9)
    over[0].set_ylim(bottom=0)
    return figure


def _where(table: pd.DataFrame, setting: dict[str, int]) -> pd.DataFrame:
    return table[(table[[*setting]] == pd.Series(setting)).all(axis=1)]


def _curves(axes: Axes, rows: pd.DataFrame, x: "pd.Series[float]", marker: str) -> None:
    """Draw the fraction of plain and of corrected intervals that miss the truth, with its binomial interval."""
    for name, style in KINDS.items():
        missed = (rows[name] * rows["experiments"]).round().astype(int)
        tests = [binomtest(*pair) for pair in zip(missed, rows["experiments"], strict=True)]
        found = [test.proportion_ci(method="wilson") for test in tests]
        ends = 100 * np.array([[each.low, each.high] for each in found]).T
        middle = 100 * rows[name].to_numpy()
        errors = np.maximum([middle - ends[0], ends[1] - middle], 0)
        axes.errorbar(x, middle, yerr=errors, marker=marker, markersize=4, linewidth=1, capsize=2, **style)


if __name__ == "__main__":
    main()
