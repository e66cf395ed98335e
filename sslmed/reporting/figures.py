"""Draws an experiment: score against label fraction, convergence, and published curves where they are comparable."""

import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sslmed.core.files import atomic_path
from sslmed.evaluation.metrics import find
from sslmed.reporting.captions import CHANCE, caption
from sslmed.reporting.efficiency import middle_fraction
from sslmed.reporting.panels import NULL_BAND, draw_comparison, draw_convergence, draw_scores, legend_entries
from sslmed.reporting.published import published_curves
from sslmed.reporting.styles import ArmStyle, arm_styles, groups
from sslmed.reporting.tables import Tables

MOST_IN_A_ROW = 3
CAPTION_WIDTH = 15
"""Characters of the caption per inch of the figure."""

TITLE_WIDTH = 7.2
"""The same of the title, which ends before the legend."""

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

Panel = tuple[str, Callable[..., None]]


def draw_figure(
    tables: Tables, png: Path, svg: Path, *, phantom: bool, metrics: Sequence[str], notes: Sequence[str] = ()
) -> None:
    """Draw an experiment into a PNG and an SVG file; equal tables give equal bytes.

    Each metric has a panel, and the first one another for convergence. The title says if images are synthetic. Notes
    are additional lines below the figure, e.g. that pretraining was transductive.
    """
    arms = arm_styles(tables.results["arm"].unique())
    with matplotlib.rc_context(STYLE):
        figure = _draw_panels(_panels(tables, metrics), groups(arms))
        subject = "PHANTOM, synthetic images, not patients" if phantom else tables.summary["dataset"].iloc[0]
        title = f"Data efficiency of self-supervised pretraining: {subject}"
        title = textwrap.fill(title, int(TITLE_WIDTH * figure.get_figwidth()))
        figure.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")  # clear of the legend
        width = int(CAPTION_WIDTH * figure.get_figwidth())
        lines = [textwrap.fill(line, width) for line in (*caption(tables, metrics[0]), *notes)]
        figure.supxlabel("\n".join(lines), fontsize=9, x=0.01, ha="left")
        handles = legend_entries(tables, arms, metrics[0])
        if not tables.null_bands.empty:
            handles.append(Patch(label=CHANCE, **NULL_BAND))
        figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
        for path, kind, metadata in ((png, "png", {}), (svg, "svg", {"Date": None})):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)


def _panels(tables: Tables, metrics: Sequence[str]) -> list[Panel]:
    """List the panels: title, and function of `axes` and `arms` that draws it."""
    experiment = tables.summary.iloc[0]
    titles = ["Test score" if len(metrics) == 1 else f"Test score, {find(name).title}" for name in metrics]
    scores = [partial(draw_scores, tables=tables, metric=metric) for metric in metrics]
    shown = tables.labels.amounts[middle_fraction(tables.curves)]
    convergence = partial(draw_convergence, tables=tables, metric=metrics[0])
    panels: list[Panel] = [*zip(titles, scores, strict=True), (f"Convergence with {shown.of_labels}", convergence)]
    published = published_curves(experiment["figure"], experiment["dataset"])
    if not published.empty:
        comparison = partial(draw_comparison, tables=tables, published=published)
        panels.append(("Dashed: as published by Taleb et al. 2020", comparison))
    return panels


def _draw_panels(panels: Sequence[Panel], rows: Sequence[Sequence[ArmStyle]]) -> Figure:
    """Draw all panels for each group of arms, in one row of up to three or in two rows, with equal y axes."""
    columns = len(panels) if len(panels) <= MOST_IN_A_ROW else -(-len(panels) // 2)
    height = -(-len(panels) // columns)
    figure = Figure(figsize=(1.8 + 5.2 * columns, 0.9 + 4.7 * height * len(rows)), layout="constrained")
    grid = figure.subplots(height * len(rows), columns, squeeze=False).reshape(len(rows), -1)
    for axes in grid[:, len(panels) :].flat:
        axes.remove()
    for of_row, arms in zip(grid, rows, strict=True):
        kind = arms[-1].kind.description if len(rows) > 1 else ""  # a repeated baseline comes first
        for axes, first, (title, draw) in zip(of_row, grid[0], panels, strict=False):
            if axes is not first:
                axes.sharey(first)
            draw(axes, arms=arms)
            axes.set_title(title + kind)
    return figure
