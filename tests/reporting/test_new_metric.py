"""A metric that is registered is in tables, figure, report and W&B, and one that counts errors is read as such."""

import json
import re
from math import inf

import pytest
from synthetic_experiment import data_of, paths_of, write_experiment

from sslmed.evaluation.metrics import METRICS, Metric
from sslmed.experiments.runs import read_plan
from sslmed.reporting.figures import draw_figure
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.page import write_report
from sslmed.reporting.paper_figure import draw_paper_figure
from sslmed.reporting.tables import collect

MISSED = Metric(
    "missed",
    "segmentation",
    "missed volume",
    "how much of the organ was not found",
    bounds=(0.0, inf),
    unit="ml",
    higher_is_better=False,
    values=lambda cases: cases["fn_1"].to_numpy(float),
)


@pytest.fixture
def work(monkeypatch, tmp_path):
    """An experiment in which cpc misses less than the baseline."""
    monkeypatch.setitem(METRICS, "missed", MISSED)
    monkeypatch.setattr(FinishedExperiment, "metrics", ["missed", "dice_foreground"])
    return write_experiment(tmp_path, arms=("baseline", "cpc", "null"), folds=5, cases=6, examples=False)


def report_of(work):
    runs = read_plan(work / "plan.json")
    page = work / "report.html"
    write_report(page, FinishedExperiment(work, runs, collect(paths_of(work), "missed")))
    return page.read_text()


def test_it_is_in_the_tables_with_intervals_in_its_unit(work):
    tables = collect(paths_of(work), "missed")
    assert "missed" in set(tables.results["metric"])
    cells = tables.summary[tables.summary["metric"] == "missed"].set_index(["arm", "label_fraction"])
    by_hand = tables.cases.groupby(["arm", "label_fraction"])["fn_1"].mean()
    assert cells["mean"].to_dict() == pytest.approx(by_hand.to_dict())
    assert (cells["ci_low"] < cells["mean"]).all()
    assert (cells["mean"] < cells["ci_high"]).all()
    assert (cells["ci_high"] > 1).all()
    (test,) = tables.tests[tables.tests["arm"] == "cpc"].to_dict("records")
    assert test["diff_high"] < 0
    assert 0 < test["p"] < 0.05
    bands = tables.null_bands[tables.null_bands["metric"] == "missed"]
    assert (bands["high"] > 1).all()


@pytest.mark.slow
def test_the_report_calls_less_of_it_better(work):
    page = report_of(work)
    assert re.search(r'<h2 id="answer" class="answer">Yes, with 1 of 1 arm: cpc \S\d', page)
    assert "The score is missed volume (ml), lower is better: how much of the organ was not found." in page
    assert re.search(r'<td class="better"><span class="sign" title="interval below zero">▼', page)
    assert 'class="worse"' not in page
    assert ">validation missed volume (ml), lower is better<" in page  # an axis


@pytest.mark.slow
def test_the_figure_says_which_way_is_better(work, tmp_path):
    files = tmp_path / "figure.png", tmp_path / "figure.svg"
    draw_figure(collect(paths_of(work), "missed"), *files, phantom=True, metrics=["missed"])
    assert "missed volume (ml), lower is better" in files[1].read_text()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 5])
def test_a_single_case_of_a_metric_without_bound_spoils_no_page(monkeypatch, tmp_path, seeds):
    monkeypatch.setitem(METRICS, "missed", MISSED)
    monkeypatch.setattr(FinishedExperiment, "metrics", ["missed"])
    work = write_experiment(tmp_path, arms=("baseline", "cpc"), folds=1, seeds=seeds, cases=1, examples=False)
    page = report_of(work)
    assert "Infinity" not in json.dumps(data_of(page))
    assert "\N{INFINITY}]" in page
    tables = collect(paths_of(work), "missed")
    assert [*tables.tests["arm"]] == ["cpc"] * (seeds == 5)
    draw_figure(tables, tmp_path / "x.png", tmp_path / "x.svg", phantom=True, metrics=["missed"])
    draw_paper_figure(tables, tmp_path / "x.pdf", tmp_path / "x.txt", phantom=True, metric="missed")
