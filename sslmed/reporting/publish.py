"""Writes the results of an experiment: tables, figure, report, and its summary in W&B."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sslmed.core.files import remove_leftovers
from sslmed.experiments.plan import Run
from sslmed.experiments.reproduce import Outcome
from sslmed.experiments.workflow import failures, has_results, read_results, sole_command
from sslmed.reporting.figures import draw_figure
from sslmed.reporting.html.page import NAME, write_report
from sslmed.reporting.tables import collect, write_tables
from sslmed.reporting.wandb.summary import log_summary


def publish(outcome: Outcome) -> int:
    """Write tables, figure and report from the runs that are done, and list those that failed.

    Returns:
        0 if the figure is complete, 1 if runs failed; it then marks their cells as missing.
    """
    work, runs, out = outcome.work, outcome.runs, outcome.out
    failed = failures(work, runs)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    finetuning = [run for run in runs if run.labels is not None]
    if not any(has_results(work, run) for run in finetuning):
        print("no run has finished: there is nothing to draw", file=sys.stderr)
        return 1
    with sole_command(work):
        tables = collect([work / run.name for run in finetuning], outcome.metrics[0])
        remove_leftovers(out)
        write_tables(tables, out)
        figure = out / f"{work.parent.name}.png"
        svg = figure.with_suffix(".svg")
        notes = [*outcome.notes, *_notes(work, runs)]
        draw_figure(tables, figure, svg, phantom=outcome.phantom, metrics=outcome.metrics, notes=notes)
        print(f"the tables, {figure.name} and {figure.stem}.svg are in {out}")
        write_report(out / NAME, work, runs, tables)
        print(f"to look at: {out / NAME}")
        if outcome.wandb != "disabled":
            summaries = {"summary": tables.summary, "tests": tables.tests, "efficiency": tables.efficiency}
            log_summary(work, outcome.wandb, tables=summaries, figure=figure)
    return 1 if failed else 0


def _notes(work: Path, runs: Sequence[Run]) -> list[str]:
    if any(read_results(work, run).get("transductive", False) for run in runs if has_results(work, run)):
        return ["Transductive: pretraining has seen the images of the test cases."]
    return []
