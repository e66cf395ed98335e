"""Writes the report of an experiment."""

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sslmed.core.files import sole_writer, write_text
from sslmed.downstream.examples import ROLES
from sslmed.evaluation.artefacts import STRENGTHS
from sslmed.evaluation.metrics import find
from sslmed.evaluation.resolution import lost_labels
from sslmed.experiments.arms import BASELINE, Arm
from sslmed.experiments.experiment import kept_experiment
from sslmed.experiments.runs import plan_of
from sslmed.preparation.doubts import label_doubts
from sslmed.reporting.captions import INCOMPLETE, caption, notes_of
from sslmed.reporting.html import facts
from sslmed.reporting.html import tables as page_tables
from sslmed.reporting.html.answer import answer
from sslmed.reporting.html.charts import charts
from sslmed.reporting.html.confusion import confusion
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.meanings import EXTERNAL, FROZEN_BASELINE, NULL, OWN, SLICES, TASKS
from sslmed.reporting.html.swatches import swatch
from sslmed.reporting.html.viewer import viewer
from sslmed.reporting.robustness import write_corrupted_table
from sslmed.reporting.tables import collect

NAME = "report.html"
UNLABELLED, LABELLED = "a task from images without labels", "the labels of another dataset"
"""What arms learn before fine-tuning."""

PREDICTIONS = {"map": "Slices", "class": "Confusion", "value": "Predictions"}
"""Kind of labels -> title of the section with predictions."""


def report_experiment(work: Path, out: Path) -> Path:
    """Report on the experiment in `RUNS/<figure>/<data>-<preset>`, and return the file, which is beside its figure.

    Raises:
        UserError: If there is no experiment there, or no fine-tuning run of it has finished.
    """
    runs = plan_of(work)
    work = work.resolve()
    finetuning = [work / run.name for run in runs if run.labels is not None]
    tables = collect(finetuning, kept_experiment(work, work.parent.name).metrics[0])
    path = out / work.parent.name / work.name / NAME
    with sole_writer(path.parent):
        write_corrupted_table(tables.robustness, path.parent)
        write_report(path, FinishedExperiment(work, runs, tables))
    return path


def write_report(path: Path, experiment: FinishedExperiment) -> None:
    """Write one self-contained HTML file; equal runs give equal bytes."""
    environment = Environment(
        loader=PackageLoader("sslmed.reporting.html", "page_files"),
        autoescape=True,  # names of datasets, classes and cases are not trusted
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report.html")
    write_text(path, template.render(_content(experiment)))


def _content(experiment: FinishedExperiment) -> dict[str, Any]:
    examples, matrix = viewer(experiment), confusion(experiment)
    main = experiment.metrics[0]
    summary = experiment.tables.summary
    amounts = experiment.tables.labels.amounts
    n_labels = summary.groupby("label_fraction")["n_labels"].first()
    arms = [*map(Arm.parse, experiment.arms)]
    pretrained = [arm for arm in arms if arm.is_pretrained]
    kinds = {LABELLED if arm.is_supervised else UNLABELLED for arm in pretrained}
    learned = [kind for kind in (UNLABELLED, LABELLED) if kind in kinds]
    return {
        "figure": experiment.figure,
        "dataset": experiment.dataset,
        "preset": experiment.preset,
        "is_phantom": experiment.is_phantom,
        "transductive": experiment.transductive,
        "frozen": experiment.frozen,
        "lost_labels": [] if experiment.store is None else lost_labels(experiment.store),
        "doubtful_labels": [] if experiment.store is None else label_doubts(experiment.store),
        "missing": experiment.missing,
        "incomplete": INCOMPLETE,
        "answer": answer(experiment),
        "n_cases": int(summary.loc[summary["metric"] == main, "n_cases"].max()),
        "amounts": [
            (str(amount), n_labels.get(fraction) if amount.count is None else None)
            for fraction, amount in amounts.items()
        ],
        "metrics": [(find(metric).title, find(metric).meaning) for metric in experiment.metrics],
        "arms": [swatch(style) | {"meaning": _meaning(style.arm, experiment)} for style in experiment.arm_styles],
        "has_supervised": LABELLED in learned,
        "learned": learned,
        "has_null_band": not experiment.tables.null_bands.empty,
        "null_arms": [
            (name, _meaning(arm, experiment)) for name, arm in zip(experiment.arms, arms, strict=True) if arm.is_null
        ],
        "caption": [*caption(experiment.tables, main), *notes_of(experiment.records)],
        "charts": charts(experiment),
        "label_kind": experiment.label_kind,
        "predictions": PREDICTIONS[experiment.label_kind],
        "roles": ROLES,
        "viewer": examples,
        "confusion": matrix,
        "cells": page_tables.all_cells(experiment),
        "efficiency": page_tables.efficiency(experiment),
        "robustness": page_tables.robustness(experiment),
        "strengths": [*STRENGTHS.values()],
        "cost": facts.cost(experiment),
        "data": facts.data(experiment),
        "protocol": facts.protocol(experiment),
        "versions": facts.versions(experiment),
        "page_data": {"amounts": [*map(str, amounts.values())], "viewer": examples, "confusion": matrix},
        "style": _file("report.css"),
        "script": _file("report.js"),
    }


def _meaning(arm: Arm, experiment: FinishedExperiment) -> str:
    tasks = TASKS | {BASELINE: FROZEN_BASELINE} if experiment.frozen else TASKS
    return (NULL if arm.is_null else tasks.get(arm.task, OWN)) + SLICES * arm.slices + EXTERNAL * arm.external


def _file(name: str) -> str:
    return resources.files("sslmed.reporting.html").joinpath("page_files", name).read_text(encoding="utf-8")
