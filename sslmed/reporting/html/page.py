"""Writes the report of an experiment."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from sslmed.core.errors import UserError
from sslmed.core.files import write_text
from sslmed.downstream.examples import ROLES
from sslmed.evaluation.metrics import METRIC_NAMES
from sslmed.experiments.arms import Arm
from sslmed.experiments.plan import Run, read_plan
from sslmed.reporting.captions import INCOMPLETE, caption
from sslmed.reporting.html import listings
from sslmed.reporting.html.answer import answer
from sslmed.reporting.html.charts import charts
from sslmed.reporting.html.confusion import confusion
from sslmed.reporting.html.evidence import Evidence
from sslmed.reporting.html.formatting import percent
from sslmed.reporting.html.swatches import swatch
from sslmed.reporting.html.viewer import viewer
from sslmed.reporting.html.words import EXTERNAL, OWN, SLICES, TASKS, meaning
from sslmed.reporting.styles import Look
from sslmed.reporting.tables import Tables, collect

NAME = "report.html"
LOOKS = {"map": "Slices", "class": "Confusion", "value": "Predictions"}
"""What labels are -> what is shown of single test cases."""


def report_experiment(work: Path, out: Path) -> Path:
    """Report on the experiment in a directory.

    Args:
        work: `RUNS/<figure>/<data>-<preset>`.
        out: Where results go; the report is `<figure>/<data>-<preset>/report.html` in it, beside the figure.

    Returns:
        The file that was written.

    Raises:
        UserError: If there is no experiment there, or no fine-tuning run of it has finished.
    """
    plan = work / "plan.json"
    if not plan.is_file():
        raise UserError(f"{work}: has no plan.json; give an experiment's directory, as runs/fig3/phantom-quick")
    runs = read_plan(plan)
    tables = collect([work / run.name for run in runs if run.fraction is not None])
    work = work.resolve()
    path = out / work.parent.name / work.name / NAME
    write_report(path, work, runs, tables)
    return path


def write_report(path: Path, work: Path, runs: Sequence[Run], tables: Tables) -> None:
    """Write one HTML file that holds all it shows; equal runs give equal bytes.

    Args:
        path: File to write.
        work: The experiment's directory.
        runs: The plan.
        tables: What the finished fine-tuning runs found.
    """
    environment = Environment(
        loader=PackageLoader("sslmed.reporting.html", "page_files"),
        autoescape=True,  # names of datasets, classes and cases are whatever their files say
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report.html")
    write_text(path, template.render(_content(Evidence(work, runs, tables))))


def _content(evidence: Evidence) -> dict[str, Any]:
    drawn = charts(evidence)
    examples, matrix = viewer(evidence), confusion(evidence)
    figures = {f"{kind}-{i}": chart["figure"] for kind, of_kind in drawn.items() for i, chart in enumerate(of_kind)}
    main = evidence.metrics[0]
    summary = evidence.tables.summary
    n_labels = summary.groupby("label_fraction")["n_labels"].first()
    return {
        "figure": evidence.figure,
        "dataset": evidence.dataset,
        "preset": evidence.preset,
        "is_phantom": evidence.is_phantom,
        "transductive": evidence.transductive,
        "missing": evidence.missing,
        "incomplete": INCOMPLETE,
        "answer": answer(evidence),
        "n_cases": int(summary.loc[summary["metric"] == main, "n_cases"].max()),
        "fractions": [(percent(f), n_labels.get(f)) for f in evidence.fractions],
        "metrics": [(METRIC_NAMES.get(metric, metric), meaning(metric)) for metric in evidence.metrics],
        "arms": [swatch(look) | {"meaning": _meaning(look)} for look in evidence.looks],
        "caption": caption(evidence.tables, main),
        "charts": drawn,
        "labels": evidence.labels,
        "looks": LOOKS[evidence.labels],
        "roles": ROLES,
        "viewer": examples,
        "confusion": matrix,
        "cells": listings.all_cells(evidence),
        "efficiency": listings.efficiency(evidence),
        "cost": listings.cost(evidence),
        "data": listings.data(evidence),
        "protocol": listings.protocol(evidence),
        "versions": listings.versions(evidence),
        "page_data": {"charts": figures, "viewer": examples, "confusion": matrix},
        "plotly": get_plotlyjs(),
        "style": _file("report.css"),
        "script": _file("report.js"),
    }


def _meaning(look: Look) -> str:
    arm: Arm = look.arm
    return TASKS.get(arm.task, OWN) + SLICES * arm.slices + EXTERNAL * arm.external


def _file(name: str) -> str:
    return resources.files("sslmed.reporting.html").joinpath("page_files", name).read_text(encoding="utf-8")
