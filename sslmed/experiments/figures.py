"""Draws an experiment: score against label fraction, convergence, and published curves where they are comparable."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from sslmed.evaluation.metrics import PAPER_DICE, SCORE_BOUNDS
from sslmed.evaluation.statistics import ENOUGH_RUNS, estimate
from sslmed.experiments.looks import Look, looks
from sslmed.experiments.reference import published_curves
from sslmed.experiments.tables import Tables
from sslmed.files import atomic_path

METRIC_NAMES = {
    "dice_foreground": "foreground Dice",
    "dice_foreground_native": "foreground Dice on the original grid",
    PAPER_DICE: "Dice pooled over test cases, with background",
}
INCOMPLETE = "†"
NAMED_MISSING = 4
OVER_CASES = "over test cases only: does not include training noise"
RANGE = "from the lowest to the highest run"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "sslmed",  # equal tables give equal bytes
}


def draw_figure(
    tables: Tables, png: Path, svg: Path, *, phantom: bool, metric: str = "dice_foreground", notes: Sequence[str] = ()
) -> None:
    """Draw an experiment into a PNG and an SVG file; equal tables give equal bytes.

    Args:
        tables: Finished runs of one experiment.
        png: File to write.
        svg: File to write.
        phantom: Whether the images are drawn; the title then says so.
        metric: The score shown.
        notes: Further lines below the figure, e.g. that pretraining was transductive.
    """
    experiment = tables.summary.iloc[0]
    published = published_curves(experiment["figure"], experiment["dataset"])
    arms = looks(tables.results["arm"].unique())
    with matplotlib.rc_context(STYLE):
        panels = 2 if published.empty else 3
        figure = Figure(figsize=(1.8 + 5.2 * panels, 5.6), layout="constrained")
        axes = figure.subplots(1, panels)
        draw_scores(axes[0], tables.summary, arms, metric)
        axes[0].set_title("Test score")
        draw_convergence(axes[1], tables.curves, arms, metric)
        if not published.empty:
            _draw_published(axes[2], published, arms)
            draw_scores(axes[2], tables.summary, arms, PAPER_DICE)
            axes[2].set_title("Dashed: as published by Taleb et al. 2020")
        subject = "PHANTOM, drawn images, not patients" if phantom else experiment["dataset"]
        figure.suptitle(f"Data efficiency of self-supervised pretraining: {subject}", fontsize=13, fontweight="bold")
        figure.supxlabel("\n".join([*_caption(tables, metric), *notes]), fontsize=9, x=0.01, ha="left")
        handles = [Line2D([], [], label=arm.arm, **arm.style) for arm in arms]
        figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
        for path, kind, metadata in ((png, "png", {}), (svg, "svg", {"Date": None})):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)


def draw_scores(axes: Axes, summary: pd.DataFrame, arms: Sequence[Look], metric: str) -> None:
    """Draw every arm's test score with its interval; an incomplete cell is marked, and an absent one leaves a gap."""
    scores = summary[summary["metric"] == metric]
    fractions = np.sort(scores["label_fraction"].unique())
    for arm in arms:
        cells = scores[scores["arm"] == arm.arm].set_index("label_fraction").reindex(fractions)
        mean, high, x = cells["mean"].to_numpy(), cells["ci_high"].to_numpy(), fractions * arm.dodge
        interval = np.stack([mean - cells["ci_low"].to_numpy(), high - mean])
        axes.errorbar(x, mean, yerr=interval, capsize=2.5, elinewidth=1, **arm.style)
        for i in np.flatnonzero(cells["n_runs"].to_numpy() != scores["n_runs"].max()):
            y, transform = (0.01, axes.get_xaxis_transform()) if np.isnan(mean[i]) else (high[i], axes.transData)
            axes.text(
                x[i], y, INCOMPLETE, color=arm.colour, transform=transform, ha="center", va="bottom", size=13, zorder=9
            )
    n_labels = scores.groupby("label_fraction")["n_labels"].first()
    axes.set_xscale("log")
    axes.set_xticks(fractions, [f"{100 * fraction:g} %\nn = {n_labels[fraction]}" for fraction in fractions])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training labels")
    axes.set_ylabel(METRIC_NAMES.get(metric, metric))


def draw_convergence(axes: Axes, curves: pd.DataFrame, arms: Sequence[Look], metric: str) -> None:
    """Draw every arm's validation score during training, at the middle label fraction."""
    fractions = np.sort(curves["label_fraction"].unique())
    fraction = fractions[len(fractions) // 2]
    shown = curves[(curves["metric"] == metric) & (curves["label_fraction"] == fraction)]
    single = []
    for i, arm in enumerate(arms):
        runs = shown[shown["arm"] == arm.arm].pivot(index="update", columns=["fold", "seed"], values="value").dropna()
        if runs.shape[1] < 2:
            single.append(arm.arm)
            continue
        axes.fill_between(runs.index, *_band(runs), color=arm.colour, alpha=0.12, linewidth=0)
        step = len(runs) // 8 + 1
        axes.plot(runs.index, runs.mean(axis=1), markevery=(i % step, step), **arm.style)
    if single:  # no band, and a curve without one is not drawn
        text = f"not drawn, as fewer than two runs\nhave no interval: {', '.join(single)}"
        axes.text(0.98, 0.02, text, transform=axes.transAxes, ha="right", va="bottom", size=8)
    axes.set_title(f"Convergence with {100 * fraction:g} % of the labels")
    axes.set_xlabel("updates")
    axes.set_ylabel(f"validation {METRIC_NAMES.get(metric, metric)}")


def _band(runs: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Give lower and upper ends for each update: the interval, or the range where there are too few folds for one."""
    fold_of_run = runs.columns.get_level_values("fold")
    folds = fold_of_run.unique()
    if len(folds) < ENOUGH_RUNS:
        return list(runs.min(axis=1)), list(runs.max(axis=1))
    by_fold = [[scores[fold_of_run == fold][:, None] for fold in folds] for scores in runs.to_numpy()]
    estimates = [estimate(scores, SCORE_BOUNDS) for scores in by_fold]
    return [e.low for e in estimates], [e.high for e in estimates]


def _draw_published(axes: Axes, published: pd.DataFrame, arms: Sequence[Look]) -> None:
    for arm in arms:
        curve = published[published["arm"] == arm.arm]
        style = arm.style | {"linestyle": "--", "linewidth": 1, "markersize": 3.5}
        axes.plot(curve["label_fraction"], curve["value"], alpha=0.7, **style)


def _caption(tables: Tables, metric: str) -> list[str]:
    """Say what was run, what bars and bands mean, and what is missing."""
    experiment = tables.summary.iloc[0]
    n_cases = tables.summary.loc[tables.summary["metric"] == metric, "n_cases"].max()
    n_folds, n_seeds = (tables.results[key].nunique() for key in ("fold", "seed"))
    counts = (
        f"{_count(n_folds, 'fold')} \N{MULTIPLICATION SIGN} {_count(n_seeds, 'seed')}, {_count(n_cases, 'test case')}"
    )
    lines = [
        f"{experiment['figure']}, dataset {experiment['dataset']}, preset {experiment['preset']}, {counts}.",
        f"Bars: {_bars(n_folds, n_folds * n_seeds)}. Bands: {_bands(n_folds)}.",
    ]
    if tables.missing:
        rest = len(tables.missing) - NAMED_MISSING
        more = f", and {_count(rest, 'further run')}" if rest > 0 else ""
        lines.append(f"{INCOMPLETE} missing: {', '.join(tables.missing[:NAMED_MISSING])}{more}.")
        if n_folds * n_seeds >= ENOUGH_RUNS:
            lines.append(f"Where fewer than {ENOUGH_RUNS} are left, bars are {OVER_CASES}, and bands {RANGE}.")
    return lines


def _bars(n_folds: int, n_runs: int) -> str:
    if n_folds >= ENOUGH_RUNS:
        return "95 % intervals, which include the noise of training and of test cases"
    if n_runs >= ENOUGH_RUNS:
        return "95 % intervals over seeds and test cases, for training sets like these folds'"
    return f"95 % intervals {OVER_CASES}"


def _bands(n_folds: int) -> str:
    return "95 % intervals over folds" if n_folds >= ENOUGH_RUNS else RANGE


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
