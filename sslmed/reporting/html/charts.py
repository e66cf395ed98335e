"""The charts of a report, as Plotly has them; colours are the page's, which knows whether it is dark."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sslmed.core.label_amount import LabelAmount
from sslmed.evaluation.metrics import METRIC_NAMES
from sslmed.experiments.arms import BASELINE
from sslmed.reporting.captions import INCOMPLETE
from sslmed.reporting.efficiency import middle_fraction
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.formatting import difference, interval, score
from sslmed.reporting.panels import band, convergence, null_outlines
from sslmed.reporting.published import published_curves
from sslmed.reporting.styles import KINDS, ArmStyle, dodges
from sslmed.reporting.tables import Tables
from sslmed.training.run_directory import RunDirectory

SYMBOLS = {
    "X": "x",
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "<": "triangle-left",
    ">": "triangle-right",
    "h": "hexagon",
}
"""Matplotlib's markers -> Plotly's."""

FILLINGS = {"full": "", "left": "-open-dot", "none": "-open", "bottom": "-dot"}
DASHES = dict(zip(KINDS.values(), ("solid", "dashdot", "dot", "longdashdot"), strict=True))
PUBLISHED_DASH = "dash"


def charts(experiment: FinishedExperiment) -> dict[str, list[dict[str, Any]]]:
    """Draw what the figure shows, and the pretext losses.

    Returns:
        `scores`, `convergence`, `published`, `pretext` and `agreement`: charts with `title` and Plotly's `figure`. A
        trace that belongs to an arm says so in `meta`, by the arm's position among `experiment.arm_styles`.
    """
    tables, arms = experiment.tables, experiment.arm_styles
    published = published_curves(experiment.figure, experiment.dataset)
    published = published[published["arm"].isin([style.arm.name for style in arms])]
    comparison = "" if published.empty else str(published["metric"].iloc[0])
    return {
        "scores": [
            _chart(_capital(_name(metric)), _score_traces(tables, arms, metric), score_layout(tables, metric))
            for metric in experiment.metrics
        ],
        "convergence": [_convergence(tables, arms, experiment.metrics[0])],
        "published": []
        if published.empty
        else [
            _chart(
                _capital(_name(comparison)),
                [*_published_traces(published, arms), *_score_traces(tables, arms, comparison)],
                score_layout(tables, comparison),
            )
        ],
        "pretext": [_pretext(i, style, experiment) for i, style in enumerate(arms) if style.arm.task != BASELINE],
        "agreement": _agreement(experiment.tables, arms) if experiment.label_kind == "value" else [],
    }


def symbol(style: ArmStyle) -> str:
    """Plotly's name of an arm's marker."""
    return SYMBOLS[style.marker] + FILLINGS[style.kind.filling]


def _chart(title: str, traces: Sequence[go.Scatter], layout: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "figure": {"data": [trace.to_plotly_json() for trace in traces], "layout": layout}}


def _score_traces(tables: Tables, arms: Sequence[ArmStyle], metric: str) -> list[go.Scatter]:
    scores = tables.summary[tables.summary["metric"] == metric]
    fractions = np.sort(scores["label_fraction"].unique())
    most_runs = scores["n_runs"].max()
    traces = [
        _area([100 * x for x in fractions_of_band], low, high, {"null_band": True})
        for fractions_of_band, low, high in null_outlines(tables, arms, metric)
    ]
    for i, (style, dodge) in enumerate(zip(arms, dodges(len(arms)), strict=True)):
        cells = scores[scores["arm"] == style.arm.name].set_index("label_fraction").reindex(fractions)
        x = (100 * fractions * dodge).tolist()
        bars = {
            "type": "data",
            "symmetric": False,
            "array": _values(cells["ci_high"] - cells["mean"]),
            "arrayminus": _values(cells["mean"] - cells["ci_low"]),
            "thickness": 1,
            "width": 3,
        }
        hover = [_hover(style, tables.labels.amounts[f], cell) for f, cell in cells.iterrows()]  # type: ignore[index]
        traces.append(_line(i, style, x, _values(cells["mean"]), hover, error_y=bars))
        absent = cells["mean"].isna()
        incomplete = (cells["n_runs"] != most_runs) & ~absent
        for shown, heights, axis in ((incomplete, cells["ci_high"], "y"), (absent, absent * 0.0, "y2")):
            if shown.any():
                at = [position for position, is_shown in zip(x, shown, strict=True) if is_shown]
                traces.append(_daggers(i, at, _values(heights[shown]), axis))
    return traces


def _hover(style: ArmStyle, amount: LabelAmount, cell: "pd.Series[Any]") -> str:
    lines = [
        f"<b>{style.arm.name}</b>, {amount.of_labels}",
        f"{score(cell['mean'])} {interval(cell['ci_low'], cell['ci_high'])}",
    ]
    if not pd.isna(cell["diff"]):
        ends = interval(cell["diff_low"], cell["diff_high"], signed=True)
        lines.append(f"to the baseline {difference(cell['diff'])} {ends}")
    return "<br>".join(lines)


def _line(i: int, style: ArmStyle, x: list[Any], y: list[Any], hover: list[str], **more: Any) -> go.Scatter:  # noqa: ANN401
    width = 3 if style.arm.task == BASELINE else 2
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={"width": width, "dash": DASHES[style.kind]},
        marker={"symbol": symbol(style), "size": 9},
        hovertext=hover,
        hoverinfo="text",
        meta={"arm": i},
        **more,
    )


def _daggers(i: int, x: list[Any], y: list[Any], axis: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        yaxis=axis,
        mode="text",
        text=[INCOMPLETE] * len(x),
        textposition="top center",
        textfont={"size": 16},
        hoverinfo="skip",
        meta={"arm": i},
    )


def score_layout(tables: Tables, metric: str) -> dict[str, Any]:
    """Give the axes of a chart of scores against labels."""
    scores = tables.summary[tables.summary["metric"] == metric]
    n_labels = scores.groupby("label_fraction")["n_labels"].first()
    single = {"range": np.log10([50 * n_labels.index[0], 200 * n_labels.index[0]]).tolist()}
    return {
        "xaxis": {
            "type": "log",
            **(single if len(n_labels) == 1 else {}),  # or its arms would be spread over the whole panel
            "title": {"text": "training labels"},
            "tickvals": [100 * fraction for fraction in n_labels.index],
            "ticktext": ["<br>".join(tables.labels.tick(f, n_labels[f])) for f in n_labels.index],
        },
        "yaxis": {"title": {"text": f"test {_name(metric)}"}},
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }


def _published_traces(published: pd.DataFrame, arms: Sequence[ArmStyle]) -> list[go.Scatter]:
    traces = []
    for i, style in enumerate(arms):
        curve = published[published["arm"] == style.arm.name]
        x, y = (100 * curve["label_fraction"]).tolist(), curve["value"].tolist()
        hover = [
            f"<b>{style.arm.name}</b>, {at:.10g} % of the labels<br>{score(value)} as published"
            for at, value in zip(x, y, strict=True)
        ]
        trace = _line(i, style, x, y, hover, opacity=0.6)
        traces.append(trace.update(line={"dash": PUBLISHED_DASH, "width": 1.5}, marker={"size": 6}))
    return traces


def _area(x: list[Any], low: Sequence[float], high: Sequence[float], meta: dict[str, Any]) -> go.Scatter:
    outline = {"x": x + x[::-1], "y": [*map(float, low), *map(float, high[::-1])]}
    return go.Scatter(**outline, fill="toself", mode="lines", line={"width": 0}, hoverinfo="skip", meta=meta)


def _convergence(tables: Tables, arms: Sequence[ArmStyle], metric: str) -> dict[str, Any]:
    traces, single = [], []
    for i, style in enumerate(arms):
        runs = convergence(tables.curves, style.arm.name, metric)
        if runs.shape[1] < 2:
            single.append(style.arm.name)
            continue
        updates, (low, high) = runs.index.tolist(), band(runs, metric, tables.test_to_train)
        traces.append(_area(updates, low, high, {"arm": i}))
        hover = [
            f"<b>{style.arm.name}</b> after {update} updates<br>{score(value)} {interval(*ends)}"
            for update, value, *ends in zip(updates, runs.mean(axis=1), low, high, strict=True)
        ]
        traces.append(_line(i, style, updates, runs.mean(axis=1).tolist(), hover))
    layout = {
        "xaxis": {"title": {"text": "updates", "standoff": 8}},
        "yaxis": {"title": {"text": f"validation {_name(metric)}"}},
    }
    chart = _chart(
        f"Convergence with {tables.labels.amounts[middle_fraction(tables.curves)].of_labels}", traces, layout
    )
    return {**chart, "not_drawn": single}


def _pretext(i: int, style: ArmStyle, experiment: FinishedExperiment) -> dict[str, Any]:
    """Every fold's validation loss, that of an answer by chance, and the first fold's answers."""
    records = {run: record for run, record in experiment.pretraining.items() if run.arm == style.arm.name}
    found = (_answers(experiment.work / run.name, record) for run, record in records.items())
    answers = next(filter(None, found), None)
    traces = []
    for run, record in records.items():
        rows = record["validation"]
        updates = [row["update"] for row in rows]
        losses, chance = ([row[f"val/{name}"] for row in rows] for name in ("loss", "chance_loss"))
        hover = [
            f"<b>{style.arm.name}</b>, fold {run.fold}, {update} updates<br>{_loss(loss)}, by chance {_loss(guess)}"
            for update, loss, guess in zip(updates, losses, chance, strict=True)
        ]
        dashed = {"dash": "dash", "width": 1.5}
        guessed = go.Scatter(x=updates, y=chance, mode="lines", line=dashed, hoverinfo="skip", meta={"chance": True})
        line = _line(i, style, updates, losses, hover, opacity=1 if run.fold == 0 else 0.65)
        traces += [guessed, line.update(marker={"size": 6}, line={"width": 1.5})]
    layout = {
        "xaxis": {"title": {"text": "updates", "standoff": 4}},
        "yaxis": {"title": {"text": "validation loss"}, "rangemode": "tozero"},
    }
    ends = [_losses(record[key] for record in records.values()) for key in ("val_loss", "chance_loss")]
    final = f"{ends[0]} at the end, {ends[1]} by chance" if records else ""
    return {**_chart(style.arm.name, traces, layout), "final": final, "answers": answers}


def _answers(run: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """Pictures of what the network has seen and answered, as a data URI, and what it answered in words."""
    picture = RunDirectory(run).answers
    if not picture.is_file():
        return None
    image = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    return {"image": image, "words": record.get("answers", [])}


def _agreement(tables: Tables, arms: Sequence[ArmStyle]) -> list[dict[str, Any]]:
    """Every test case's predicted against its true value, with most labels, and where both are equal."""
    fraction = tables.cases["label_fraction"].max()
    shown = tables.cases[tables.cases["label_fraction"] == fraction]
    ends = [float(shown["truth"].min()), float(shown["truth"].max())]
    dashed = {"dash": "dash", "width": 1.5}
    traces = [go.Scatter(x=ends, y=ends, mode="lines", line=dashed, hoverinfo="skip", meta={"chance": True})]
    for i, style in enumerate(arms):
        of_arm = shown[shown["arm"] == style.arm.name]
        x, y = of_arm["truth"].tolist(), of_arm["prediction"].tolist()
        hover = [
            f"<b>{style.arm.name}</b>, {escape(case)}<br>{prediction:.4g}, true {truth:.4g}"
            for case, truth, prediction in zip(of_arm["case"], x, y, strict=True)
        ]
        traces.append(_line(i, style, x, y, hover, opacity=0.7).update(mode="markers", marker={"size": 6}))
    layout = {"xaxis": {"title": {"text": "true value"}}, "yaxis": {"title": {"text": "predicted value"}}}
    return [_chart(f"Test cases, trained with {tables.labels.amounts[fraction]}", traces, layout)]


def _losses(values: Iterable[float | None]) -> str:
    ends = sorted(value for value in values if value is not None)
    return " to ".join(dict.fromkeys(map(_loss, (ends[0], ends[-1])))) if ends else _loss(None)


def _loss(value: float | None) -> str:
    return "diverged" if value is None else score(value)


def _values(numbers: "pd.Series[float]") -> list[float | None]:
    """A list that JSON can hold."""
    return [None if np.isnan(number) else float(number) for number in numbers]


def _name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
