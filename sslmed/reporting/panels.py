"""The panels of a figure: score against label fraction, convergence, and published curves."""

from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import ENOUGH_RUNS, estimate
from sslmed.reporting.captions import INCOMPLETE
from sslmed.reporting.efficiency import middle_fraction
from sslmed.reporting.styles import ArmStyle, dodges
from sslmed.reporting.tables import Tables

NULL_BAND: dict[str, Any] = {"color": "#808080", "alpha": 0.25, "linewidth": 0}
"""Style of the null band."""

BAND_MARGIN = 1.1
"""Factor by which the null band extends beyond the smallest and largest fraction, to cover all dodged arms."""

NO_CURVE = "no curves to draw: null arms are shown\nas the band of a baseline; add the baseline"
"""What a panel without arms says."""

LABEL_WIDTH = 22
"""Characters in a line of a legend, so that arms with long names leave the title and the panels their place."""


def draw_scores(axes: Axes, tables: Tables, arms: Sequence[ArmStyle], metric: str) -> None:
    """Draw every arm's test score with its interval. Incomplete cells are marked; missing ones leave a gap."""
    _say_if_empty(axes, arms)
    scores = tables.summary[tables.summary["metric"] == metric]
    named = arms_with_fewer_runs(tables, metric)
    fractions = np.sort(scores["label_fraction"].unique())
    for style, dodge in zip(arms, dodges(len(arms)), strict=True):
        planned = np.array([fraction for fraction in fractions if (style.arm.name, fraction) in tables.planned])
        cells = scores[scores["arm"] == style.arm.name].set_index("label_fraction").reindex(planned)
        mean, high, x = cells["mean"].to_numpy(), cells["ci_high"].to_numpy(), planned * dodge
        interval = np.stack([mean - cells["ci_low"].to_numpy(), high - mean])
        interval[np.isinf(interval)] = np.nan  # the noise is unknown and the metric has no bound
        axes.errorbar(x, mean, yerr=interval, capsize=2.5, elinewidth=1, **style.line_options)
        incomplete = cells["n_runs"].to_numpy() != scores["n_runs"].max()
        for i in np.flatnonzero(incomplete & (style.arm.name not in named)):
            y, transform = (0.01, axes.get_xaxis_transform()) if np.isnan(mean[i]) else (high[i], axes.transData)
            axes.text(
                x[i],
                y,
                INCOMPLETE,
                color=style.colour,
                transform=transform,
                ha="center",
                va="bottom",
                size=13 * style.scale,
                zorder=9,
            )
    for at, low, upper in null_outlines(tables, arms, metric):
        corners = [*zip(at, low, strict=True), *zip(at[::-1], upper[::-1], strict=True)]
        # A wide band does not set the scale: with two folds it can be wider than all curves together.
        axes.add_collection(PolyCollection([corners], zorder=0, **NULL_BAND), autolim=False)
    n_labels = scores.groupby("label_fraction")["n_labels"].first()
    axes.set_xscale("log")
    axes.set_xticks(fractions, ["\n".join(tables.labels.tick(fraction, n_labels[fraction])) for fraction in fractions])
    axes.xaxis.set_minor_locator(NullLocator())
    if len(fractions) == 1:  # or its arms would be spread over the whole panel
        axes.set_xlim(fractions[0] / 2, fractions[0] * 2)
    axes.set_xlabel("training labels")
    axes.set_ylabel(find(metric).axis)


def _say_if_empty(axes: Axes, arms: Sequence[ArmStyle]) -> None:
    if not arms:
        axes.text(0.5, 0.5, NO_CURVE, transform=axes.transAxes, ha="center", va="center")


def arms_with_fewer_runs(tables: Tables, metric: str) -> set[str]:
    """Return the arms that have fewer runs than others at every amount of labels: the legend marks them, once."""
    scores = tables.summary[tables.summary["metric"] == metric]
    runs = scores.pivot(index="arm", columns="label_fraction", values="n_runs")
    return {*runs.index[(runs < scores["n_runs"].max()).all(axis=1)]}


def legend_entries(tables: Tables, arms: Sequence[ArmStyle], metric: str, *, width: int = LABEL_WIDTH) -> list[Artist]:
    """Return one legend entry for each arm, with lines of a number of characters, as names of arms may be long."""
    marked = arms_with_fewer_runs(tables, metric)
    names = [fill(style.arm.name + f" {INCOMPLETE}" * (style.arm.name in marked), width) for style in arms]
    return [Line2D([], [], label=name, **style.line_options) for name, style in zip(names, arms, strict=True)]


def null_outlines(tables: Tables, arms: Sequence[ArmStyle], metric: str) -> Iterator[list[list[float]]]:
    """Yield label fractions, lower and upper ends of the null band of each baseline among the arms."""
    bands = tables.null_bands[tables.null_bands["metric"] == metric]
    for _, of_baseline in bands[bands["arm"].isin([style.arm.name for style in arms])].groupby("arm"):
        table = of_baseline.sort_values("label_fraction")[["label_fraction", "low", "high"]]
        outline = table.iloc[[0, *range(len(table)), -1]].to_numpy().T
        outline[0, [0, -1]] *= 1 / BAND_MARGIN, BAND_MARGIN
        yield outline.tolist()


def draw_convergence(axes: Axes, tables: Tables, arms: Sequence[ArmStyle], metric: str) -> None:
    """Draw every arm's validation score during training, at the middle label fraction; a single run has no band."""
    _say_if_empty(axes, arms)
    single, absent = [], []
    for i, style in enumerate(arms):
        runs = convergence(tables.curves, style.arm.name, metric)
        if runs.empty:
            absent.append(style.arm.name)
            continue
        if runs.shape[1] == 1:
            single.append(style.arm.name)
        else:
            ends = band(runs, metric, tables.test_to_train)
            axes.fill_between(runs.index, *ends, color=style.colour, alpha=0.12, linewidth=0)
        step = len(runs) // 8 + 1
        axes.plot(runs.index, runs.mean(axis=1), markevery=(i % step, step), **style.line_options)
    names = "" if len(single) == len(arms) else f": {', '.join(single)}"
    notes = [f"one run, so no band{names}"] * bool(single) + [f"no run: {', '.join(absent)}"] * bool(absent)
    axes.text(0.98, 0.02, "\n".join(notes), transform=axes.transAxes, ha="right", va="bottom", size=8)
    label_updates(axes)
    axes.set_ylabel(f"validation {find(metric).axis}")


def label_updates(axes: Axes) -> None:
    """Label the x axis as updates, of which there are no halves."""
    axes.set_xlabel("updates")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def convergence(curves: pd.DataFrame, arm: str, metric: str) -> pd.DataFrame:
    """Return an arm's validation scores at the middle label fraction, one row per pass and one column per run.

    The index is the update. Runs whose budget is in epochs may differ by a few updates between folds: it is their mean.
    """
    at_middle = curves["label_fraction"] == middle_fraction(curves)
    of_arm = curves[at_middle & (curves["metric"] == metric) & (curves["arm"] == arm)]
    of_arm = of_arm.sort_values("update")
    number = of_arm.groupby(["fold", "seed"]).cumcount().rename("number")
    update = of_arm["update"].groupby(number).mean()
    runs = of_arm.assign(number=number).pivot(index="number", columns=["fold", "seed"], values="value").dropna()
    return runs.set_axis(update.loc[runs.index].rename("update"))


def draw_comparison(axes: Axes, tables: Tables, arms: Sequence[ArmStyle], published: pd.DataFrame) -> None:
    """Draw arms with their published curves, which are dashed and have no intervals."""
    for style in arms:
        curve = published[published["arm"] == style.arm.name]
        dashed = style.line_options | {"linestyle": "--", "linewidth": 1, "markersize": 3.5}
        axes.plot(curve["label_fraction"], curve["value"], alpha=0.7, **dashed)
    draw_scores(axes, tables, arms, published["metric"].iloc[0])


def band(runs: pd.DataFrame, metric: str, test_to_train: float) -> tuple[list[float], list[float]]:
    """Return lower and upper ends for each update: the interval, or the range of runs if there are too few folds.

    A pass in which all runs score the same, as 0 before anything is segmented, has a point: its interval would tell the
    number of folds, not how learning goes.
    """
    fold_of_run = runs.columns.get_level_values("fold")
    folds = fold_of_run.unique()
    low, high = runs.min(axis=1).tolist(), runs.max(axis=1).tolist()
    if len(folds) < ENOUGH_RUNS:
        return low, high
    for number, scores in enumerate(runs.to_numpy()):
        if low[number] < high[number]:
            by_fold = [scores[fold_of_run == fold][:, None] for fold in folds]
            interval = estimate(by_fold, find(metric).bounds, test_to_train=test_to_train)
            low[number], high[number] = interval.low, interval.high
    return low, high
