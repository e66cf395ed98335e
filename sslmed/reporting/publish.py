"""Writes the results of an experiment: tables, figure, report, and its summary in W&B."""

import sys

from sslmed.core.files import remove_leftovers
from sslmed.core.text import count
from sslmed.experiments.failures import failures
from sslmed.experiments.reproduce import Outcome
from sslmed.experiments.workflow import read_results, sole_command
from sslmed.reporting.captions import notes_of
from sslmed.reporting.figures import draw_figure
from sslmed.reporting.html.formatting import effect, p_value
from sslmed.reporting.html.page import NAME, write_report
from sslmed.reporting.paper_figure import draw_paper_figure
from sslmed.reporting.pretraining import collapsed, sentences, unlearned
from sslmed.reporting.tables import NothingFinishedError, Tables, collect, write_tables
from sslmed.reporting.wandb.summary import log_summary


def publish(outcome: Outcome) -> int:
    """Write tables, figure and report from the runs that are done, and list those that failed.

    Returns:
        0 if the figure is complete, 1 if runs failed; it then marks their cells as missing.
    """
    with sole_command(outcome.work):
        finetuning = [outcome.work / run.name for run in outcome.whole if run.labels is not None]
        try:
            tables, unusable = collect(finetuning, outcome.metrics[0]), None
        except NothingFinishedError as nothing:
            tables, unusable = None, nothing.unusable
        failed = failures(outcome.work, outcome.runs, tables.unusable if tables else unusable or {})
        for failure in failed:
            print(f"failed: {failure}", file=sys.stderr)
        if tables is None:
            print("no run has finished: there is nothing to draw", file=sys.stderr)
            return 1
        _write(outcome, tables)
    return 1 if failed else 0


def _write(outcome: Outcome, tables: Tables) -> None:
    work, out = outcome.work, outcome.out
    remove_leftovers(out)
    write_tables(tables, out)
    figure = out / f"{work.parent.name}.png"
    svg = figure.with_suffix(".svg")
    missing = {failure.run for failure in failures(work, outcome.whole, tables.unusable)}
    records = {run: read_results(work, run) for run in outcome.whole if run.name not in missing}
    pretraining = {run: record for run, record in records.items() if run.labels is None}
    for kind, found in (("not learned", unlearned), ("collapsed", collapsed)):
        for each in found(pretraining, outcome.whole):
            print(f"{kind}: {each}", file=sys.stderr)
    notes = [*notes_of(records), *sentences(pretraining, outcome.whole, losses=True)]
    draw_figure(tables, figure, svg, phantom=outcome.phantom, metrics=outcome.metrics, notes=notes)
    pdf, text = figure.with_suffix(".pdf"), out / f"{figure.stem}-caption.txt"
    draw_paper_figure(tables, pdf, text, phantom=outcome.phantom, metric=outcome.metrics[0], notes=notes)
    print(f"the tables, {figure.name}, {svg.name}, and {pdf.name} for papers with {text.name}, are in {out}")
    earlier = sum(run.labels is not None for run in outcome.whole) - sum(run.labels is not None for run in outcome.runs)
    if earlier:
        print(f"they show {count(earlier, 'finished run')} of earlier commands with the same settings as well")
    for test in tables.tests.to_dict("records"):
        p_values = (
            f"p {p_value(test['p'])}, {p_value(test['p_holm'])} with Holm's correction for {len(tables.tests)} arms"
        )
        print(f"{effect(test)} to the baseline, {p_values}")
    write_report(out / NAME, work, outcome.whole, tables)
    print(f"to look at: {out / NAME}")
    if outcome.wandb != "disabled":
        summaries = {"summary": tables.summary, "tests": tables.tests, "efficiency": tables.efficiency}
        log_summary(work, outcome.wandb, tables=summaries, figure=figure)
