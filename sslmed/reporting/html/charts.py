"""The charts of a report: the figure's panels, pretext losses and predicted values, as inline SVG."""

import base64
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslmed.core.label_amount import LabelAmount
from sslmed.core.text import path_of
from sslmed.evaluation.metrics import find
from sslmed.reporting.efficiency import middle_fraction
from sslmed.reporting.figures import STYLE
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.formatting import difference, interval, score
from sslmed.reporting.html.inline_svg import COLOURS, Texts, inline_svg, with_placeholders
from sslmed.reporting.panels import draw_comparison, draw_convergence, draw_scores, label_updates
from sslmed.reporting.published import published_curves
from sslmed.reporting.styles import ArmStyle
from sslmed.reporting.tables import Tables
from sslmed.training.run_directory import RunDirectory

SIZE, LOW = (5.0, 4.1), (3.6, 2.6)
"""Width and height in inches. The page scales a chart to its column."""

CHANCE: dict[str, Any] = {"color": COLOURS["quiet"], "linestyle": "--", "linewidth": 1}
"""Style of reference lines."""


PROBES = {
    "probe/dice": "Dice, linear probe",
    "probe/linear": "accuracy, linear probe",
    "probe/knn": "accuracy, 5 neighbours",
    "probe/r2": "r², linear probe",
}
"""Score in metrics.csv -> label of its axis."""


def charts(experiment: FinishedExperiment) -> dict[str, list[dict[str, Any]]]:
    """Draw what the figure shows, the pretext losses, and predicted values.

    Returns:
        `scores`, `convergence`, `published`, `pretext` and `agreement`: charts with `title` and `svg`.
    """
    tables, arms = experiment.tables, with_placeholders(experiment.arm_styles)
    published = published_curves(experiment.figure, experiment.dataset)
    published = published[published["arm"].isin([style.arm.name for style in arms])]
    main = experiment.metrics[0]
    pretrained = {run.arm for run in experiment.runs if run.labels is None}  # not if weights come from a file
    at = tables.labels.amounts[middle_fraction(tables.curves)].of_labels
    convergence = partial(draw_convergence, tables=tables, arms=arms, metric=main)
    return {
        "scores": [_scores(tables, arms, metric) for metric in experiment.metrics],
        "convergence": [_chart(f"Convergence with {at}", "convergence-0", convergence, arms)],
        "published": [] if published.empty else [_published(tables, arms, published)],
        "pretext": [
            _pretext(i, style, experiment)
            for i, style in enumerate(style for style in arms if style.arm.name in pretrained)
        ],
        "agreement": [_agreement(tables, arms)] if experiment.label_kind == "value" else [],
    }


def _chart(
    title: str,
    name: str,
    draw: Callable[[Axes], None],
    arms: Sequence[ArmStyle],
    texts: Texts | None = None,
    size: tuple[float, float] = SIZE,
) -> dict[str, Any]:
    grid = {"grid.color": COLOURS["rule"], "grid.alpha": 1, "axes.edgecolor": COLOURS["rule"]}
    ink = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), COLOURS["ink"])
    with rc_context(STYLE | grid | ink | {"axes.facecolor": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        draw(figure.add_subplot())
        return {"title": title, "svg": inline_svg(figure, arms, texts or {})}


def _scores(tables: Tables, arms: Sequence[ArmStyle], metric: str) -> dict[str, Any]:
    cells = tables.summary[tables.summary["metric"] == metric].sort_values("label_fraction").dropna(subset="mean")
    texts = {
        style.arm.name: [
            _cell(style, tables.labels.amounts[cell["label_fraction"]], cell)
            for _, cell in cells[cells["arm"] == style.arm.name].iterrows()
        ]
        for style in arms
    }

    def draw(axes: Axes) -> None:
        draw_scores(axes, tables, arms, metric)
        for style, bars in zip(arms, axes.containers, strict=True):
            bars.get_children()[0].set_gid(style.arm.name)

    return _chart(_title(metric), f"scores-{metric}", draw, arms, texts)


def _cell(style: ArmStyle, amount: LabelAmount, cell: "pd.Series[Any]") -> str:
    """Return the tooltip of a point in a chart of scores."""
    lines = [
        f"{style.arm.name}, {amount.of_labels}",
        f"{score(cell['mean'])} {interval(cell['ci_low'], cell['ci_high'])}",
    ]
    if not pd.isna(cell["diff"]):
        ends = interval(cell["diff_low"], cell["diff_high"], signed=True)
        lines.append(f"to the baseline {difference(cell['diff'])} {ends}")
    return "\n".join(lines)


def _published(tables: Tables, arms: Sequence[ArmStyle], published: pd.DataFrame) -> dict[str, Any]:
    draw = partial(draw_comparison, tables=tables, arms=arms, published=published)
    return _chart(_title(str(published["metric"].iloc[0])), "published-0", draw, arms)


def _pretext(i: int, style: ArmStyle, experiment: FinishedExperiment) -> dict[str, Any]:
    """Draw the validation loss of every fold and the chance loss, and probes; return the first fold's answers."""
    records = {run: record for run, record in experiment.pretraining.items() if run.arm == style.arm.name}
    found = (_answers(experiment.work / run.name, record) for run, record in records.items())
    answers = next(filter(None, found), None)

    line = style.line_options | {"markersize": 4, "linewidth": 1.2}

    def draw_loss(axes: Axes) -> None:
        for record in records.values():
            rows = record["validation"]
            updates = [row["update"] for row in rows]
            axes.plot(updates, _numbers(row.get("val/chance_loss") for row in rows), **CHANCE)
            axes.plot(updates, _numbers(row.get("val/loss") for row in rows), **line)
        label_updates(axes)
        axes.set_ylabel("validation loss")
        axes.set_ylim(bottom=0)

    def draw_probe(axes: Axes, name: str) -> None:
        """Each line begins with the encoder before training, so that it is seen which start is of which fold."""
        for record in records.values():
            rows = record["validation"]
            scores = [rows[0].get(f"{name}_untrained"), *(row.get(name) for row in rows)]
            axes.plot([0, *(row["update"] for row in rows)], _numbers(scores), **line)
        label_updates(axes)
        axes.set_ylabel(PROBES[name])

    logged = {name for record in records.values() for row in record["validation"] for name in row}
    probes = [
        _chart(
            f"{style.arm.name}, {label}",
            f"{name}-{i}",
            partial(draw_probe, name=name),
            [style],
            size=LOW,
        )
        for name, label in PROBES.items()
        if name in logged
    ]
    ends = [_losses(record[key] for record in records.values()) for key in ("val_loss", "chance_loss")]
    final = f"{ends[0]} at the end, {ends[1]} by chance" if records else ""
    losses = _chart(style.arm.name, f"pretext-{i}", draw_loss, [style], size=LOW)
    return {**losses, "final": final, "probes": probes, "answers": answers}


def _answers(run: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """Return pictures of the network's inputs and answers as a data URI, and its answers in words."""
    picture = RunDirectory(run).answers
    if not picture.is_file():
        return None
    image = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    return {"image": image, "words": [*map(path_of, record.get("answers", []))]}


def _agreement(tables: Tables, arms: Sequence[ArmStyle]) -> dict[str, Any]:
    """Draw predicted against true value of every test case, with the most labels, and the identity line."""
    fraction = tables.cases["label_fraction"].max()
    shown = tables.cases[tables.cases["label_fraction"] == fraction]
    of_arm = {style.arm.name: shown[shown["arm"] == style.arm.name] for style in arms}

    def draw(axes: Axes) -> None:
        ends = [shown["truth"].min(), shown["truth"].max()]
        axes.plot(ends, ends, **CHANCE)
        for style in arms:
            cases = of_arm[style.arm.name]
            points = style.line_options | {"linestyle": "none", "markersize": 4, "alpha": 0.7}
            axes.plot(cases["truth"], cases["prediction"], gid=style.arm.name, **points)
        axes.set_xlabel("true value")
        axes.set_ylabel("predicted value")

    texts = {
        name: [
            f"{name}, {path_of(case)}\n{prediction:.4g}, true {truth:.4g}"
            for case, truth, prediction in zip(cases["case"], cases["truth"], cases["prediction"], strict=True)
        ]
        for name, cases in of_arm.items()
    }
    title = f"Test cases, trained with {tables.labels.amounts[fraction]}"
    return _chart(title, "agreement-0", draw, arms, texts)


def _numbers(losses: Iterable[float | None]) -> list[float]:
    return [float("nan") if loss is None else loss for loss in losses]


def _losses(values: Iterable[float | None]) -> str:
    ends = sorted(value for value in values if value is not None)
    return " to ".join(dict.fromkeys(map(_loss, (ends[0], ends[-1])))) if ends else _loss(None)


def _loss(value: float | None) -> str:
    return "diverged" if value is None else score(value)


def _title(metric: str) -> str:
    axis = find(metric).axis
    return axis[0].upper() + axis[1:]
