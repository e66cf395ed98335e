"""All numbers that a person reads on a report are those of the tables beside it."""

import html
import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic_experiment import data_of, published, write_experiment

from sslmed.core.text import duration
from sslmed.experiments.runs import read_plan

ARMS, METRIC = ("baseline", "rotation", "rpl", "exemplar", "cpc", "null-1"), "dice_foreground"
NUMBER = r"[+−]?\d\.\d{3}"  # noqa: RUF001 - as the page writes it
pytestmark = pytest.mark.slow  # a report of ninety runs
TABLES = ("summary", "tests", "efficiency", "cases", "null_bands")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What `reproduce` leaves: the records of the runs, the CSV files, the report, and the report's tables as text."""
    root = tmp_path_factory.mktemp("numbers")
    work = write_experiment(root, arms=ARMS, folds=5, cases=3, dataset="pancreas", fractions=(0.05, 0.25, 1.0))
    runs, out = read_plan(work / "plan.json"), published(work, root / "out")
    page = (out / "report.html").read_text()
    records = {run: json.loads((work / run.name / "results.json").read_text()) for run in runs}
    files = {name: pd.read_csv(out / f"{name}.csv") for name in TABLES}
    main, matrix, *others = tables_of(page)
    return SimpleNamespace(page=page, records=records, main=main, matrix=matrix, others=others, **files)


def text_of(part):
    inline = re.sub(r"</?span[^>]*>", "", part)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", inline)).split())


def tables_of(page):
    """Rows of all tables as texts of their cells, without the headings."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    rows = [re.findall(r"<tr.*?</tr>", body, re.DOTALL) for body in bodies]
    return [[[text_of(c) for c in re.findall(r"<t[hd].*?</t[hd]>", r, re.DOTALL)] for r in each] for each in rows]


def number(value, sign=""):
    return "–" if pd.isna(value) else f"{value:{sign}z.3f}".replace("-", "−")  # noqa: RUF001


def ends(row, of, sign=""):
    low, high = row[f"{of}_low"], row[f"{of}_high"]
    return "" if pd.isna(low) else f"[{number(low, sign)}, {number(high, sign)}]"


def score_of(row):
    return [number(row["mean"]), ends(row, "ci")]


def difference_of(row):
    return [number(row["diff"], "+"), ends(row, "diff", "+")]


def p_of(value):
    return "< 0.001" if value < 0.001 else number(value)


def percent(fraction):
    return f"{100 * fraction:.3g} %"


def starred(row, value):
    return value + "*" * (row["p_holm"] < 0.05)


def records_of(table):
    return table.to_dict("records")


def test_a_difference_is_starred_by_the_corrected_p_value_alone(shown):
    for table in (shown.tests, shown.summary[shown.summary["metric"] == METRIC]):
        assert ((table["p"] < 0.05) & (table["p_holm"] >= 0.05)).any()  # which the next tests show without a star


def test_the_tests_are_those_of_the_table(shown):
    expected = [
        [
            *(row["arm"], f"{row['n_runs']}", starred(row, number(row["diff"], "+")), ends(row, "diff", "+")),
            *(ends(row, "diff_plain", "+"), p_of(row["p"]), p_of(row["p_holm"])),
        ]
        for row in records_of(shown.tests)
    ]
    assert sorted(shown.main) == sorted(expected)


def test_each_cell_of_the_matrix_is_a_score_of_the_baseline_or_a_difference_to_it(shown):
    drawn = [arm for arm in ARMS if not arm.startswith("null")]
    assert [row[0].split()[0] for row in shown.matrix] == drawn
    primary = shown.summary[shown.summary["metric"] == METRIC].sort_values("label_fraction")
    for arm, (_, *cells) in zip(drawn, shown.matrix, strict=True):
        for row, cell in zip(records_of(primary[primary["arm"] == arm]), cells, strict=True):
            value, interval = score_of(row) if arm == "baseline" else difference_of(row)
            side = "▲interval above zero: " * (row["diff_low"] > 0) + "▼interval below zero: " * (row["diff_high"] < 0)
            assert cell == f"{side}{starred(row, value)} {interval}"


def test_all_numbers_are_those_of_the_summary(shown):
    metrics = [METRIC, *(metric for metric in shown.summary["metric"].unique() if metric != METRIC)]
    for metric, table in zip(metrics, shown.others[:-2], strict=True):
        expected = [
            [
                *(row["arm"], percent(row["label_fraction"]), f"{row['n_labels']:.0f}", f"{row['n_runs']}"),
                *(*score_of(row), *difference_of(row), p_of(row["p"]), p_of(row["p_holm"])),
            ]
            for row in records_of(shown.summary[shown.summary["metric"] == metric])
        ]
        assert sorted(table) == sorted(expected), metric


def test_labels_and_updates_saved_are_those_of_the_efficiency_table(shown):
    def reached(row, write):
        value, low, high = ("" if pd.isna(row[name]) else write(row[name]) for name in ("value", "ci_low", "ci_high"))
        interval = f"{low} or more" if not high else f"up to {high}" if row["ci_low"] == 0 else f"{low} to {high}"
        return [(value or "not reached") + " (its curve gets worse)" * (not row["monotone"]), interval]

    found = shown.efficiency[shown.efficiency["metric"] == METRIC].set_index(["arm", "quantity"])
    for arm, _, *cells in shown.others[-2]:
        updates = reached(found.loc[(arm, "updates_to_baseline")], "{:.0f}".format)
        assert cells == [*reached(found.loc[(arm, "labels_to_baseline")], percent), *updates]


def test_the_cost_is_that_of_the_runs(shown):
    for arm, stage, n_runs, _, total, *_ in shown.others[-1]:
        of_stage = [run for run in shown.records if run.arm == arm and (run.labels is None) == (stage == "pretraining")]
        seconds = [shown.records[run]["seconds"] for run in of_stage]
        assert (n_runs, total) == (str(len(seconds)), duration(sum(seconds)))


def test_what_is_said_of_a_point_is_its_score_and_difference(shown):
    chart = shown.page.split('id="scores-0"')[1].split("</svg>")[0]
    said = {text_of(title) for title in re.findall(r"<title>(.*?)</title>", chart, re.DOTALL)}
    for row in records_of(shown.summary[shown.summary["metric"] == METRIC]):
        if not row["arm"].startswith("null"):
            change = "" if pd.isna(row["diff"]) else " ".join([" to the baseline", *difference_of(row)])
            assert (
                f"{row['arm']}, {percent(row['label_fraction'])} of the labels {' '.join(score_of(row))}{change}"
                in said
            )


def test_sentences_and_captions_have_no_other_numbers(shown):
    prose = text_of(re.sub(r"<(table|script|style|svg).*?</\1>", " ", shown.page, flags=re.DOTALL))
    effects = {row["arm"]: " ".join([row["arm"], *difference_of(row)]) for row in records_of(shown.tests)}
    losses = [each[name] for each in shown.records.values() for name in ("val_loss", "chance_loss") if name in each]
    allowed = {*map(number, losses), *re.findall(NUMBER, " ".join(effects.values()))}
    assert {*re.findall(NUMBER, prose)} <= allowed
    cases = shown.cases["case"].nunique()
    for count in (
        f"scored once on {cases} test cases",
        f"5 folds × 1 seed, {cases} test cases",  # noqa: RUF001
        f"the figure's {len(shown.tests)} tested arms",
        f"({shown.null_bands['df'].min()} degrees of freedom",
    ):
        assert count in prose
    significant = shown.tests[shown.tests["p_holm"] < 0.05]
    named = significant if len(significant) else shown.tests.loc[[shown.tests["diff"].abs().idxmax()]]
    headline = text_of(re.search(r'<h2 id="answer".*?</h2>', shown.page)[0])
    assert [arm for arm in effects if effects[arm] in headline] == [*named["arm"]]


def test_the_dice_below_a_slice_is_that_of_its_case(shown):
    cells = shown.cases[shown.cases["metric"] == METRIC].groupby(["arm", "label_fraction"])
    for arm, of_amount in data_of(shown.page)["viewer"]["cells"].items():
        for amount, of_role in of_amount.items():
            scores = cells.get_group((arm, float(amount.removesuffix(" %")) / 100)).set_index("case")["value"]
            assert {(int(each["case"]), each["dice"]) for each in of_role.values()} <= {*scores.items()}
