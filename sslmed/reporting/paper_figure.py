"""Draws an experiment as a paper prints it: each arm against its baseline, and all differences in one panel."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sslmed.core.files import atomic_path
from sslmed.evaluation.metrics import find
from sslmed.experiments.arms import BASELINE, baseline_of
from sslmed.reporting.captions import CHANCE, caption
from sslmed.reporting.figures import STYLE
from sslmed.reporting.panels import LABEL_WIDTH, NULL_BAND, draw_scores, legend_entries
from sslmed.reporting.styles import ArmStyle, arm_styles
from sslmed.reporting.tables import Tables

WIDTH, PANEL_HEIGHT = 7.2, 1.9
"""Inches: two columns of most journals, and a panel with its labels."""

NAME_WIDTH = 13
"""Characters of a line in the legend of a panel, of which four are side by side."""

PRINTED: dict[Any, Any] = STYLE | {
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
    "pdf.fonttype": 42,  # text stays text
}
SCALE = 0.6
"""Factor on lines and markers, which are made for panels of twice the size."""

EVEN: dict[str, Any] = {"color": "#808080", "linestyle": "--", "linewidth": 0.8}


def draw_paper_figure(
    tables: Tables, pdf: Path, caption_file: Path, *, phantom: bool, metric: str, notes: Sequence[str] = ()
) -> None:
    """Write the figure without a title as PDF, and its caption as text; equal tables give equal bytes.

    An axis and the caption say if images are synthetic. Notes are additional lines of the caption.
    """
    with matplotlib.rc_context(PRINTED), atomic_path(pdf) as temporary:
        figure = paper_figure(tables, phantom=phantom, metric=metric)
        figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
    subject = ["Phantom: synthetic images, not patients."] if phantom else []
    has_tests = not tables.tests.empty
    differences = ["Last panel: difference to the baseline, mean over the amounts of labels."] * has_tests
    with atomic_path(caption_file) as temporary:
        lines = [*subject, *caption(tables, metric, scores_only=True), *differences, *notes]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def paper_figure(tables: Tables, *, phantom: bool, metric: str) -> Figure:
    """Draw one panel for each arm, and a last one with the differences to the baseline where there are tests.

    Small panels stay readable however many arms there are. Markers tell the two curves of a panel apart in greyscale.
    """
    chosen = arm_styles(tables.results["arm"].unique())
    styles = {style.arm.name: replace(style, scale=SCALE) for style in chosen}
    pairs = [(styles.get(baseline_of(name)), style) for name, style in styles.items() if style.arm.task != BASELINE]
    pairs = pairs or [(None, style) for style in styles.values()]  # baselines alone
    panels = max(1, len(pairs) + (not tables.tests.empty))
    columns = min(panels, 3 if panels <= 6 else 4)
    rows = -(-panels // columns)
    figure = Figure(figsize=(WIDTH, 0.3 + PANEL_HEIGHT * rows), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    if not pairs:  # null arms alone
        _draw_pair(figure.add_subplot(), tables, [], metric, explain=True)
    for number, pair in enumerate(pairs):
        axes = figure.add_subplot(grid[number], sharey=figure.axes[0] if number else None)
        _draw_pair(axes, tables, [style for style in pair if style], metric, explain=number == 0)
        lowest, leftmost = number + columns >= len(pairs), number % columns == 0
        axes.set_xlabel(("labelled cases" + ",\nsynthetic images" * phantom) * lowest)
        axes.set_ylabel(find(metric).axis * leftmost)
    if not tables.tests.empty:
        row, column = divmod(len(pairs), columns)
        _draw_differences(figure.add_subplot(grid[row, column:]), tables, styles, metric)
    for axes, letter in zip(figure.axes, ascii_lowercase, strict=False):
        axes.set_title(letter, loc="left")
    return figure


def _draw_pair(axes: Axes, tables: Tables, styles: Sequence[ArmStyle], metric: str, *, explain: bool) -> None:
    """Draw an arm over its baseline and the null band. The first panel names them as well."""
    draw_scores(axes, tables, styles, metric)
    cells = tables.summary[tables.summary["metric"] == metric].groupby("label_fraction")["n_labels"].first()
    axes.set_xticks(cells.index, [f"{number:.0f}" for number in cells])
    named = styles if explain else styles[-1:]
    handles = legend_entries(tables, named, metric, width=NAME_WIDTH)
    if explain and not tables.null_bands.empty:
        handles.append(Patch(label=CHANCE, **NULL_BAND))
    axes.legend(handles=handles, loc="best" if explain else "lower right", frameon=False, borderpad=0, handlelength=2.4)


def _draw_differences(axes: Axes, tables: Tables, styles: dict[str, ArmStyle], metric: str) -> None:
    """Draw each arm's primary test: the mean difference to its baseline, over amounts of labels, with its interval."""
    tests = tables.tests.set_index("arm")
    arms = [name for name in styles if name in tests.index]
    axes.axvline(0, **EVEN)
    ends = tests.loc[arms, ["diff_low", "diff", "diff_high"]].to_numpy(float)
    for at, (name, (low, middle, high)) in enumerate(zip(arms, ends, strict=True)):
        interval = [[middle - low], [high - middle]]
        axes.errorbar(middle, at, xerr=interval, capsize=2, elinewidth=1, **styles[name].line_options)
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_yticks(range(len(arms)), [fill(name, LABEL_WIDTH) for name in arms])
    axes.set_xlabel(f"difference in {find(metric).axis}")
