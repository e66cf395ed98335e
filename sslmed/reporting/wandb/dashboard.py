"""Makes a report in Weights & Biases from an experiment's mirrored runs: curves, images, comparisons of arms."""

from collections.abc import Sequence
from pathlib import Path

import wandb
from wandb_workspaces.reports.v2 import interface as wr

from sslmed.core.errors import UserError
from sslmed.core.files import write_text
from sslmed.evaluation.metrics import find
from sslmed.experiments.arms import Arm, baseline_of
from sslmed.experiments.experiment import kept_experiment
from sslmed.experiments.runs import plan_of
from sslmed.training.wandb.names import group_name
from sslmed.training.wandb.session import check_account, identity_of, project

WIDTH, HEIGHT = 8, 7
"""Size of a panel; a row has three panels."""
ROW = 3

PRETRAINING = (
    *("val/loss", "val/chance_loss", "val/accuracy", "train/loss", "features/spread", "features/rank"),
    *("probe/dice", "probe/linear", "probe/knn", "probe/r2"),
)
"""What pretraining runs log; of the probes, those that were run."""

Panel = wr.LinePlot | wr.ScatterPlot | wr.MediaBrowser


def make_dashboard(work: Path) -> str:
    """Make the report of an experiment, or update an existing one, and return its URL.

    Raises:
        UserError: If the directory has no experiment, or W&B cannot be reached, has no key or rejects the request.
    """
    plan_of(work)
    check_account(verify=True)
    known = work / "wandb" / "report"
    try:
        report = build_dashboard(work, entity=project()["entity"] or str(wandb.Api().default_entity))
        report.id = known.read_text(encoding="utf-8") if known.is_file() else ""
        report.save()
        url = str(report.url)
    except Exception as error:  # W&B raises errors of its own, of the transport and of its data models
        more = f"; if the report has been deleted there, remove {known}" if known.is_file() else ""
        raise UserError(f"Weights & Biases: the report cannot be saved: {error}{more}") from error
    write_text(known, report.id)
    return url


def build_dashboard(work: Path, entity: str) -> wr.Report:
    """Build the report without a server. The entity is the user or team whose project has the runs."""
    figure, runs = work.parent.name, plan_of(work)
    group = group_name(figure, work.name)
    place = {"entity": entity, "project": project()["project"]}

    def runs_of(job_type: str, *conditions: str, by_arm: bool = False) -> wr.Runset:
        filters = " and ".join([f"Group = '{group}'", f"JobType = '{job_type}'", *conditions])
        return wr.Runset(**place, name=job_type, filters=filters, groupby=["config.arm"] if by_arm else [])

    metrics = kept_experiment(work, figure).metrics
    tasks = [arm for arm in dict.fromkeys(run.arm for run in runs) if Arm.parse(arm).is_pretrained]
    amounts = sorted({run.labels for run in runs if run.labels is not None})
    middle = amounts[len(amounts) // 2]
    at_middle = f"Config('label_amount') = '{middle}'"
    along = "label_fraction" if middle.fraction is not None else "n_labels"
    figure_panel = wr.MediaBrowser(title="The figure", media_keys=["figure"])
    efficiencies = [_efficiency(arm, metrics[0], identity_of(work), along) for arm in tasks]
    curves = {f"val/{metric}": f"validation {find(metric).axis}" for metric in metrics}
    curves |= {name: name for name in ("val/loss", "train/loss")}
    return wr.Report(
        **place,
        title=f"Data efficiency of self-supervised pretraining, {group}",
        description="Made by sslmed; the run directories are the record, this is their mirror.",
        width="fluid",
        blocks=[
            wr.H1("Data efficiency"),
            wr.P("Mean over test cases, and the ends of its 95 % interval (dashed), against the labels used."),
            _grid(runs_of("summary"), [figure_panel, *efficiencies]),
            wr.H1(f"Fine-tuning on {middle.of_labels}"),
            wr.P("Mean over folds and seeds, and the range from the lowest to the highest run."),
            _grid(runs_of("finetune", at_middle, by_arm=True), [_curve(*curve) for curve in curves.items()]),
            wr.H1("Test scores of every run"),
            _grid(runs_of("finetune"), [_scores(metric, along) for metric in metrics]),
            wr.H1("Pretraining"),
            wr.P("Losses of different tasks do not compare; each compares with the loss of chance."),
            _grid(runs_of("pretrain", by_arm=True), [_curve(name) for name in PRETRAINING]),
            wr.H1("What the networks see and answer"),
            _grid(runs_of("pretrain"), [_images("puzzles"), _images("answers")]),
            _grid(runs_of("finetune", at_middle), [_images(key) for key in ("segmentation", "confusion", "agreement")]),
        ],
    )


def _grid(runset: wr.Runset, panels: Sequence[Panel]) -> wr.PanelGrid:
    for index, panel in enumerate(panels):
        panel.layout = wr.Layout(x=WIDTH * (index % ROW), y=HEIGHT * (index // ROW), w=WIDTH, h=HEIGHT)
    return wr.PanelGrid(runsets=[runset], panels=list(panels))


def _efficiency(arm: str, metric: str, summary_run: str, along: str) -> wr.LinePlot:
    names = [f"{metric}/{each}" for each in (baseline_of(arm), arm)]
    bounds = [f"{name} {end}" for name in names for end in ("low", "high")]
    return wr.LinePlot(
        title=f"{arm} against {baseline_of(arm)}",
        x=along,
        y=[*names, *bounds],
        log_x=True,
        title_x="labels",
        title_y=find(metric).axis,
        line_marks={f"{summary_run}:{name}": "dashed" for name in bounds},
    )


def _curve(metric: str, title: str = "") -> wr.LinePlot:
    return wr.LinePlot(
        title=title or metric,
        x="update",
        y=[metric],
        groupby=wr.Config("arm"),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=100,
    )


def _scores(metric: str, along: str) -> wr.ScatterPlot:
    title = f"test {find(metric).axis}"
    return wr.ScatterPlot(title=title, x=wr.Config(along), y=wr.SummaryMetric(f"test/{metric}"), log_x=True)


def _images(key: str) -> wr.MediaBrowser:
    return wr.MediaBrowser(title=key, media_keys=[key], num_columns=1)
