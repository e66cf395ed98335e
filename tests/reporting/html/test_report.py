"""What a report says, read from its HTML."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import exit_status
from filelock import FileLock, Timeout
from synthetic_experiment import data_of, paths_of, published, write_experiment

from sslmed.core.label_amount import LabelAmount
from sslmed.core.text import duration
from sslmed.downstream.examples import load_examples
from sslmed.evaluation.metrics import find
from sslmed.experiments.runs import read_plan, write_plan
from sslmed.reporting import publish as publishing
from sslmed.reporting.html import formatting as numbers
from sslmed.reporting.html import page as reports
from sslmed.reporting.html import viewer
from sslmed.reporting.html.answer import headline as headline_of
from sslmed.reporting.html.page import report_experiment
from sslmed.reporting.html.tables import all_cells, efficiency
from sslmed.reporting.html.viewer import outlines
from sslmed.reporting.label_axis import LabelAxis
from sslmed.reporting.tables import collect


def page_of(root, **runs):
    return report_experiment(write_experiment(root, **runs), root / "out").read_text()


def headline(page):
    return re.search(r'<h2 id="answer"[^>]*>([^<]*)<', page)[1]


@pytest.mark.slow
def test_the_command_writes_it_beside_the_figure_and_equal_runs_give_equal_bytes(tmp_path, capsys):
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), cases=3)
    pages = []
    for _ in range(2):
        assert exit_status("report", work, "--out", tmp_path / "results") == 0
        path = tmp_path / "results" / "fig3" / "phantom-quick" / "report.html"
        assert capsys.readouterr().out.strip() == str(path)
        pages.append(path.read_bytes())
    assert pages[0] == pages[1]
    assert len(pages[0]) < 600_000


@pytest.mark.parametrize("make", [False, True])
def test_what_is_no_experiment_is_refused(tmp_path, capsys, make):
    folder = tmp_path / "nothing"
    if make:
        folder = write_experiment(
            tmp_path, arms=("baseline",), fractions=(1.0,), skip=[("baseline", 1.0, 0)], folds=1, examples=False
        )
    assert exit_status("report", folder) == 2
    assert ("no run has finished" if make else "no plan.json") in capsys.readouterr().err


def test_a_small_phantom_experiment_claims_nothing(tmp_path):
    page = page_of(tmp_path, arms=("baseline", "rotation"), cases=4)
    assert "<strong>PHANTOM</strong>" in page
    assert "expert" not in page
    assert "several ways: from scratch (<em>baseline</em>), or after it had first learned" in page
    assert headline(page) == "This experiment is too small to tell."
    assert "do not include the noise of training" in page
    assert "no p-value" in page
    assert "no difference to the baseline is given" in page
    assert "above zero" not in page
    assert "below zero" not in page
    assert "▲" not in page
    assert "Score: foreground Dice, with its 95 % interval over test cases" in page
    assert "<strong>INCOMPLETE" not in page
    assert "<h1>Did pretraining without labels help?</h1>" in page
    assert "sees the images of training and unlabelled cases, never of a test case" in page


@pytest.mark.parametrize(
    ("select", "scored"), [("last", "the last checkpoint<"), ("best", "the checkpoint that is best in validation<")]
)
def test_the_checkpoint_that_was_scored_is_named(tmp_path, select, scored):
    work = write_experiment(tmp_path, arms=("baseline",), cases=2, fractions=(1.0,), examples=False)
    (work / "baseline/fold0/seed0/100/config.yaml").write_text(f"select: {select}\n")
    assert f"scored once, by {scored}" in report_experiment(work, tmp_path).read_text()


def test_frozen_encoders_are_said_to_be_so_and_tasks_show_cases_by_their_paths(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), cases=2, fractions=(1.0,), examples=False)
    for path in work.rglob("results.json"):
        special = {"answers": ["visit 1%2Ft1: 90°"]} if path.parent.name == "pretrain" else {"frozen": True}
        path.write_text(json.dumps(json.loads(path.read_text()) | special))
        (path.parent / "answers.png").write_bytes(b"")
    page = report_experiment(work, tmp_path).read_text()
    assert "a frozen encoder with random weights, without pretraining" in page
    assert "an encoder that was frozen: one with random weights (<em>baseline</em>), or one that had first" in page
    assert "from scratch" not in page
    assert "<li>visit 1/t1: 90°</li>" in page


@pytest.mark.slow
def test_pretraining_with_labels_or_elsewhere_is_not_said_to_be_without_or_on_the_dataset(tmp_path):
    page = page_of(tmp_path, arms=("baseline", "supervised", "rotation-external"), cases=3, fractions=(1.0,))
    assert "<h1>Did pretraining help?</h1>" in page
    assert "learned a task from images without labels, or the labels of another dataset (the other" in page
    assert "training and unlabelled cases" not in page
    page = page_of(tmp_path / "labelled", arms=("baseline", "supervised"), cases=3, fractions=(1.0,))
    assert "learned the labels of another dataset (the other" in page


def test_five_folds_of_patients_get_an_answer_with_p_values(tmp_path):
    page = page_of(tmp_path, arms=("baseline", "cpc"), folds=5, cases=6, dataset="pancreas", fractions=(0.05, 1.0))
    assert "<strong>PHANTOM</strong>" not in page
    assert re.fullmatch(r"Yes, with 1 of 1 arm: cpc \+0\.\d{3} \[\+0\.\d{3}, \+0\.\d{3}\]\.", headline(page))
    assert page.count("One arm is tested, so its p-value needs no correction for several tests.") == 2
    assert "Mean difference to the baseline over all amounts of labels" in page
    assert "Secondary: difference to the baseline" in page
    assert "▲" in page
    assert "beside the published curves" in page
    assert "Holm" in page


def test_an_arm_that_starts_from_a_file_of_weights_has_no_pretraining_that_could_be_missing(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline", "cpc"), cases=3, fractions=(1.0,), examples=False)
    write_plan(work / "plan.json", [run for run in read_plan(work / "plan.json") if run.labels is not None])
    page = report_experiment(work, tmp_path).read_text()
    assert "no run has finished" not in page
    assert "No arm of this experiment was pretrained" in page


@pytest.mark.slow
def test_few_folds_with_many_seeds_are_said_to_hold_for_their_training_sets_and_not_to_be_corrected(tmp_path):
    page = page_of(tmp_path, arms=("baseline", "cpc"), folds=2, seeds=3, cases=4, fractions=(1.0,))
    assert "Intervals and p-values are for the training sets of these folds" in page
    assert "corrected for training sets" not in page


def test_five_folds_of_the_baseline_alone_have_intervals_with_training_noise_and_no_word_of_few_runs(tmp_path):
    page = page_of(tmp_path, arms=("baseline",), folds=5, cases=3, fractions=(0.05, 1.0))
    assert headline(page) == "No answer: no arm is pretrained."
    assert "trained from scratch; no arm is pretrained." in page
    assert "Score: foreground Dice, with its 95 % interval<" in page
    assert "With fewer than 5 runs" not in page
    assert "over test cases only" not in page


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.1, 0.1), "Yes, with 2 of 2 arms: rotation +0.100 [+0.050, +0.150] and cpc +0.100 [+0.050, +0.150]."),
        (
            (0.1, -0.1),
            "It depends on the task: rotation +0.100 [+0.050, +0.150] helped, cpc -0.100 [-0.150, -0.050] did harm.",
        ),
        ((0.0, -0.1), "No: none of 2 arms is better than the baseline. Worse: cpc -0.100 [-0.150, -0.050]."),
        (
            (0.0, -0.01),
            "Not shown: none of 2 arms differs from the baseline by more than chance. "
            "The largest difference: cpc -0.010 [-0.060, +0.040].",
        ),
    ],
)
def test_the_headline_is_that_of_the_primary_tests(gains, said):
    tests = pd.DataFrame({"arm": ["rotation", "cpc"], "diff": gains, "p_holm": [0.8, 0.8]})
    tests = tests.assign(diff_low=tests["diff"] - 0.05, diff_high=tests["diff"] + 0.05)
    tests.loc[tests["diff"].abs() > 0.05, "p_holm"] = 0.01
    assert headline_of(tests, can_be_compared=True).replace(numbers.MINUS, "-") == said
    assert headline_of(pd.DataFrame(), can_be_compared=True) == "This experiment is too small to tell."
    assert headline_of(pd.DataFrame(), can_be_compared=False).startswith("No answer")


@pytest.mark.slow
def test_terminal_and_caption_name_the_effect_first_and_the_family(tmp_path, capsys):
    arms, folds = ("baseline", "cpc", "exemplar"), {"folds": 5, "cases": 4, "fractions": (1.0,)}
    work = write_experiment(tmp_path, arms=arms, examples=False, **folds)
    out = published(work, tmp_path / "out")
    number, p = rf"[+{numbers.MINUS}]0\.\d{{3}}", r"(< )?\d\.\d{3}"
    shown = capsys.readouterr().out
    for arm in arms[1:]:
        line = rf"{arm} {number} \[{number}, {number}\] to the baseline, p {p}, {p} with Holm's correction for 2 arms"
        assert re.search(line, shown)
    assert "p-values of the figure's 2 tested arms are corrected together" in (out / "fig3.svg").read_text()


@pytest.mark.slow
def test_a_pool_is_named_wherever_runs_on_it_are_shown(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline", "rotation-external"), cases=3, fractions=(1.0,), examples=False)
    out = published(work, tmp_path / "out", arms=["baseline"])
    shown = [(out / "fig3-caption.txt").read_text(), report_experiment(work, out).read_text()]
    assert [text.count("External pool: more-eyes.") for text in shown] == [1, 1]


@pytest.mark.slow
def test_probes_are_shown_beside_the_loss_of_the_arms_that_have_them(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline", "rotation", "cpc"), cases=3, fractions=(1.0,), examples=False)
    plain = report_experiment(work, tmp_path / "out").read_text()
    assert "probe" not in plain
    path = work / "cpc" / "fold1" / "pretrain" / "results.json"
    record = json.loads(path.read_text())
    for number, row in enumerate(record["validation"]):
        row |= {"probe/dice": 0.3 + 0.02 * number, "probe/dice_untrained": 0.3}
    path.write_text(json.dumps(record))
    page = report_experiment(work, tmp_path / "out").read_text()
    assert re.findall(r'class="chart" id="(pretext-\d|probe[^"]*)"', page) == ["pretext-0", "pretext-1", "probe-1-0"]
    assert "Dice, linear probe" in page
    assert "Each line begins with the score of the encoder before training" in page
    losses, probes = (page.split(f'id="{name}"')[1].split("</svg>")[0] for name in ("pretext-1", "probe-1-0"))
    assert "stroke-dasharray" in losses
    assert "stroke-dasharray" not in probes  # of several folds, nobody could tell which is whose


@pytest.mark.slow
def test_null_arms_are_a_band_and_in_the_tables_of_numbers(tmp_path):
    page = page_of(tmp_path, arms=("baseline", "rotation", "null-1"), cases=3, fractions=(0.05, 1.0))
    assert '<span class="band">chance alone</span>' in page
    assert "estimated from null-1 (2 degrees of freedom, so it is rough itself)" in page
    assert "Null arms are a control" in page
    chart = page.split('id="scores-0"')[1].split("</svg>")[0]
    assert set(re.findall(r'class="arm-(\d+)"', chart)) == {"0", "1"}
    assert "#808080" in chart  # the band
    assert len(re.findall("<input[^>]* data-arm=", page)) == 2
    assert page.count('<th scope="row">null-1</th>') > 2  # all numbers, and cost


@pytest.mark.slow
def test_runs_that_are_missing_are_marked_and_named(tmp_path):
    skip = [("rotation", 0.25, 1), ("cpc", 1.0, 0), ("cpc", 1.0, 1)]
    page = page_of(tmp_path, arms=("baseline", "rotation", "cpc"), cases=3, skip=skip)
    assert "3 of the planned runs have no usable results" in page
    assert "<li>rotation/fold1/seed0/25: not started <small>(log: " in page
    assert page.count("<small>missing</small>") == 1
    assert "one run, so no band: rotation" in page


def test_runs_with_damaged_results_are_named_with_the_reason_and_the_others_reported(tmp_path, monkeypatch):
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), cases=3, examples=False)
    (work / "rotation" / "fold1" / "pretrain" / "results.json").write_text("{")
    (work / "rotation" / "fold1" / "seed0" / "25" / "cases.csv").unlink()
    monkeypatch.chdir(tmp_path)
    page = report_experiment(work.relative_to(tmp_path), tmp_path).read_text()
    assert "2 of the planned runs have no usable results" in page
    for run, reason in (("pretrain", "results.json: Expecting"), ("seed0/25", "No such file")):
        (line,) = re.findall(f"<li>rotation/fold1/{run}: (.*?)</li>", page)
        assert reason in line
        assert f"rotation/fold1/{run}/run.log" in line


@pytest.mark.slow
def test_names_from_data_are_text(tmp_path):
    page = page_of(tmp_path, arms=("baseline",), cases=2, dataset="a<b>&amp;<script>")
    assert "<b>" not in page.split("<script>")[0].split("<header>")[1]
    assert "a&lt;b&gt;&amp;amp;&lt;script&gt;" in page
    assert "&lt;i&gt;tumour&lt;/i&gt; &amp; more" in page  # a class
    assert data_of(page)["viewer"]["classes"] == ["pancreas", "<i>tumour</i> & more"]


def test_without_slices_it_says_so_and_without_the_prepared_data_it_does_without(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline",), cases=2, examples=False)
    (tmp_path / "stores" / "data-0123" / "store.json").unlink()
    page = report_experiment(work, tmp_path).read_text()
    assert "No slices to show" in page
    assert "no longer where the runs found them" in page


def test_labels_that_need_a_look_are_said(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline",), figure="fig4", cases=2, examples=False)
    assert "DOUBTFUL LABELS" not in report_experiment(work, tmp_path).read_text()
    store = tmp_path / "stores" / "data-0123" / "store.json"
    content = json.loads(store.read_text())
    content["label_names"]["3"] = "unknown"
    for case, grade in {"a": 3, "b": 1, "c": 3}.items():
        content["records"][case] |= {"classes": [grade], "label": grade}
    content["records"]["b"]["digest"] = "a"
    store.write_text(json.dumps(content))
    page = report_experiment(work, tmp_path).read_text()
    assert "labels that need a look: the class unknown (2 cases) may stand for a missing one" in page
    assert "labels that need a look: copies of an image have different labels (b and a)" in page


@pytest.mark.slow
def test_slices_are_bounded_and_what_is_left_out_is_named(tmp_path, monkeypatch):
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), cases=3)
    whole = data_of(report_experiment(work, tmp_path).read_text())["viewer"]
    assert whole["left_out"] == []
    assert sum(map(len, whole["texts"])) < viewer.MOST_BYTES
    images = [text for text in whole["texts"] if text.startswith("data:")]
    assert len(images) <= 3 * 9  # three test cases: arms and fractions share their pictures
    worst = load_examples(work / "rotation" / "fold0" / "seed0" / "25" / "examples.npz")["worst"]
    shown = whole["cells"]["rotation"]["25 %"]["worst"]
    assert (shown["case"], shown["dice"]) == (worst.case, worst.dice)
    for name in ("truth", "prediction"):
        assert [[whole["texts"][i] for i in each[name]] for each in shown["slices"]] == [
            outlines(labels) for labels in getattr(worst, name)
        ]
    monkeypatch.setattr(viewer, "MOST_BYTES", 1)
    bounded = data_of(report_experiment(work, tmp_path).read_text())["viewer"]
    assert bounded["cells"].keys() == {"baseline"}
    assert len(bounded["left_out"]) == 5


def test_outlines_enclose_the_class():
    labels = np.zeros((5, 6), np.uint8)
    labels[1:4, 2:6] = 2  # touches the border
    empty, path = outlines(labels)
    assert empty == ""
    points = np.array(re.findall(r"[-\d.]+", path), float).reshape(-1, 2)
    assert (points.min(0) == (2, 1)).all()
    assert (points.max(0) == (6, 4)).all()
    x, y = points.T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert area == 12 - 4 / 8  # the four corners are cut


def test_efficiency_says_what_is_not_reached():
    columns = ["metric", "arm", "quantity", "value", "ci_low", "ci_high", "monotone"]
    rows = [
        ["dice_foreground", "rpl", "labels_to_baseline", 0.5, 0.25, np.nan, False],
        ["dice_foreground", "rpl", "updates_to_baseline", 90.0, 0.0, 120.0, True],
        ["dice_foreground", "cpc", "labels_to_baseline", np.nan, 0.25, np.nan, True],
        ["dice_foreground", "cpc", "updates_to_baseline", 80.0, np.nan, np.nan, True],
        ["dice_class_1", "cpc", "labels_to_baseline", 0.5, 0.25, 1, True],
    ]
    labels = LabelAxis.of([LabelAmount(fraction=1.0)], {0: 40})
    tables = SimpleNamespace(efficiency=pd.DataFrame(rows, columns=columns), labels=labels)
    experiment = SimpleNamespace(tables=tables, metrics=["dice_foreground"], arms=["rpl", "cpc", "rotation"])
    names = ["arm", "labels", "labels_interval", "updates", "updates_interval"]
    assert [[row[name] for name in names] for row in efficiency(experiment)] == [
        ["rpl", "50 % (its curve gets worse)", "25 % or more", "90", "up to 120"],
        ["cpc", "not reached", "25 % or more", "80", numbers.NONE],
    ]


@pytest.mark.parametrize("value", [-0.0, -0.0004, 0.0004])
def test_what_rounds_to_zero_has_no_minus(value):
    assert (numbers.score(value), numbers.difference(value)) == ("0.000", "+0.000")
    assert numbers.interval(value, 0.01, signed=True) == "[+0.000, +0.010]"


def test_numbers_are_written_as_people_read_them():
    assert numbers.score(-0.0006) == f"{numbers.MINUS}0.001"
    assert numbers.difference(-0.0312) == "\N{MINUS SIGN}0.031"
    assert numbers.interval(0.1, float("nan")) == ""
    assert [numbers.p_value(p) for p in (0.0004, 0.03, float("nan"))] == ["< 0.001", "0.030", numbers.NONE]
    assert [duration(s) for s in (14.3, 754, 12000)] == ["14 s", "13 min", "3 h 20 min"]
    assert [numbers.listing(names) for names in (["a"], ["a", "b", "c"])] == ["a", "a, b and c"]


@pytest.mark.parametrize("named", [["auroc", "accuracy"], ["qwk"], ["auroc", "qwk"]])
def test_weighted_kappa_is_shown_where_the_figure_names_it_as_classes_may_have_no_order(tmp_path, named):
    work = write_experiment(tmp_path, "fig4", arms=("baseline",), folds=1)
    tables = collect(paths_of(work), named[0])
    experiment = SimpleNamespace(tables=tables, metrics=named, arms=["baseline"], fractions=[1.0], store=None)
    shown = [table["metric"] for table in all_cells(experiment)]
    assert len(shown) == 2 + ("qwk" in named)
    assert shown[: len(named)] == [find(metric).axis for metric in named]


def test_results_have_one_writer_at_a_time_which_removes_what_killed_ones_left(tmp_path, monkeypatch):
    """Experiments in other folders of runs may have the same folder of results; their tables would be mixed."""
    work, out = write_experiment(tmp_path, arms=("baseline",), folds=1), tmp_path / "out" / "fig3" / "phantom-quick"
    write_report, locked = publishing.write_report, []

    def tried(path, experiment):
        with pytest.raises(Timeout), FileLock(out / ".lock", timeout=0):
            pass
        locked.append(not list(out.glob("*.partial")))
        write_report(path, experiment)

    out.mkdir(parents=True)
    for module, write in ((publishing, published), (reports, lambda *_: report_experiment(work, tmp_path / "out"))):
        (out / "summary.csv.17.partial").touch()
        monkeypatch.setattr(module, "write_report", tried)
        write(work, out)
    assert locked == [True, True]
