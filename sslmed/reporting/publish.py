"""Writes the results of an experiment: tables, figure, report, and its summary in W&B."""

import sys

from sslmed.core.files import sole_writer
from sslmed.core.text import count
from sslmed.experiments.failures import report_failures
from sslmed.experiments.reproduce import Outcome
from sslmed.experiments.workflow import sole_command
from sslmed.reporting.captions import notes_of
from sslmed.reporting.figures import draw_figure
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.formatting import effect, p_value
from sslmed.reporting.html.page import NAME, write_report
from sslmed.reporting.paper_figure import draw_paper_figure
from sslmed.reporting.pretraining import collapsed, unlearned
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
            tables = collect(finetuning, outcome.metrics[0])
        except NothingFinishedError as nothing:
            report_failures(outcome.work, outcome.runs, nothing.unusable)
            print("no run has finished: there is nothing to draw", file=sys.stderr)
            return 1
        has_failed = report_failures(outcome.work, outcome.runs, tables.unusable)
        with sole_writer(outcome.out):
            _write(outcome, tables)
    return int(has_failed)


def _write(outcome: Outcome, tables: Tables) -> None:
    work, out = outcome.work, outcome.out
    write_tables(tables, out)
    figure = out / f"{work.parent.name}.png"
    svg = figure.with_suffix(".svg")
    experiment = FinishedExperiment(work, outcome.whole, tables)
    for kind, found in (("not learned", unlearned), ("collapsed", collapsed)):
        for each in found(experiment.pretraining, outcome.whole):
            print(f"{kind}: {each}", file=sys.stderr)
    notes = [*notes_of(experiment.records), *experiment.pretraining_warnings(losses=True)]
    phantom = experiment.is_phantom
    draw_figure(tables, figure, svg, phantom=phantom, metrics=outcome.metrics, notes=notes)
    pdf, text = figure.with_suffix(".pdf"), out / f"{figure.stem}-caption.txt"
    draw_paper_figure(tables, pdf, text, phantom=phantom, metric=outcome.metrics[0], notes=notes)
    print(f"the tables, {figure.name}, {svg.name}, and {pdf.name} for papers with {text.name}, are in {out}")
    earlier = sum(run.labels is not None for run in outcome.whole) - sum(run.labels is not None for run in outcome.runs)
    if earlier:
        print(f"they show {count(earlier, 'finished run')} of earlier commands with the same settings as well")
    for test in tables.tests.to_dict("records"):
        corrected = f"{p_value(test['p_holm'])} with Holm's correction for {count(len(tables.tests), 'arm')}"
        print(f"{effect(test)} to the baseline, p {p_value(test['p'])}, {corrected}")
    write_report(out / NAME, experiment)
    print(f"to look at: {out / NAME}")
    if outcome.wandb != "disabled":
        summaries = {"summary": tables.summary, "tests": tables.tests, "efficiency": tables.efficiency}
        log_summary(work, outcome.wandb, tables=summaries, figure=figure)
