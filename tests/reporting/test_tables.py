"""Tables of finished runs: columns, order, bytes, and values against formulas by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_runs import write_runs

from sslmed.core.errors import DataError, UserError
from sslmed.reporting.efficiency import middle_fraction
from sslmed.reporting.tables import collect, write_tables

RUN = "figure,dataset,preset,arm,spatial_dims,label_fraction,n_labels,fold,seed"
HEADERS = {
    "results": f"{RUN},metric,value",
    "cases": f"{RUN},case,metric,value",
    "summary": "figure,dataset,preset,metric,arm,label_fraction,n_labels,n_runs,n_cases,mean,ci_low,ci_high,"
    "ci_plain_low,ci_plain_high,diff,diff_low,diff_high,diff_plain_low,diff_plain_high,p,p_holm",
    "tests": "figure,dataset,preset,metric,arm,n_runs,n_cases,diff,diff_low,diff_high,diff_plain_low,diff_plain_high,"
    "p,p_holm",
    "null_bands": "figure,dataset,preset,metric,arm,label_fraction,n_folds,df,low,high",
    "efficiency": "figure,dataset,preset,metric,arm,quantity,n_runs,value,ci_low,ci_high,monotone",
}
PRIMARY = "dice_foreground"
ARMS = ("baseline", "rotation", "baseline-2d", "rotation-2d")


def test_every_column_is_explained_in_the_docs() -> None:
    docs = Path(__file__).parents[2] / "docs" / "statistics.md"
    explained = docs.read_text().split("## Columns of the tables")[1]
    columns = {column for header in HEADERS.values() for column in header.split(",")}
    assert [each for each in sorted(columns) if "_plain_" not in each and f"`{each}`" not in explained] == []


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return collect(write_runs(tmp_path_factory.mktemp("runs"), (*ARMS, "null-1", "null-2")), PRIMARY)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root, arms = tmp_path_factory.mktemp("runs"), ("baseline", "rotation", "cpc", "null-1")
    return collect(write_runs(root, arms, folds=5, seeds=3, cases=4, fractions=(0.1, 1.0)), PRIMARY)


@pytest.fixture(scope="module")
def fundus(tmp_path_factory):
    root, arms = tmp_path_factory.mktemp("runs"), ("baseline", "rotation", "rotation-external")
    return collect(write_runs(root, arms, folds=5, cases=12, fractions=(0.1, 1.0), figure="fig4"), "qwk")


def test_files_have_the_columns_are_sorted_and_repeat_byte_by_byte(tmp_path):
    paths = write_runs(tmp_path / "runs", ARMS[:2])
    write_tables(collect(paths, PRIMARY), tmp_path / "a")
    write_tables(collect(paths[::-1], PRIMARY), tmp_path / "b")
    for name, header in HEADERS.items():
        content = (tmp_path / "a" / f"{name}.csv").read_bytes()
        assert content.split(b"\n")[0].decode() == header
        assert content == (tmp_path / "b" / f"{name}.csv").read_bytes()
        table = pd.read_csv(tmp_path / "a" / f"{name}.csv", dtype={"case": str})
        keys = [column for column in table if column not in ("metric", "value", "n_labels")]
        if name in ("results", "cases"):
            assert table.equals(table.sort_values([*keys, "metric"], ignore_index=True, kind="stable"))
            assert not table.isna().any(axis=None)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {f"{name}.csv" for name in HEADERS}


def test_case_ids_stay_text(quick):
    assert set(quick.cases["case"].str.len()) == {3}


@pytest.mark.slow
def test_mean_is_that_of_the_runs(quick, sound, fundus):
    for tables in (quick, sound, fundus):
        keys = ["metric", "arm", "label_fraction"]
        of_runs = tables.results.groupby(keys)["value"].mean()
        pd.testing.assert_series_equal(tables.summary.set_index(keys)["mean"], of_runs, check_names=False)


def test_only_baselines_and_differences_of_few_runs_are_empty(quick, sound):
    columns = HEADERS["summary"].split(",")
    complete, of_differences = columns[:14], columns[14:]
    for tables in (quick, sound):
        assert not tables.summary[complete].isna().any(axis=None)
    assert quick.summary[of_differences].isna().all(axis=None)
    assert quick.tests.empty
    assert quick.efficiency.empty
    is_baseline = sound.summary["arm"] == "baseline"
    for column in of_differences[:-1]:
        assert (sound.summary[column].isna() == is_baseline).all()
    assert set(sound.summary["n_runs"]) == {15}
    assert set(sound.summary["n_cases"]) == {20}


def test_2d_arms_are_compared_with_the_2d_baseline(tmp_path):
    tables = collect(write_runs(tmp_path, ARMS, folds=5, cases=2), PRIMARY)
    for suffix in ("", "-2d"):
        means = tables.summary.query("metric == 'dice_foreground'").set_index(["arm", "label_fraction"])
        expected = means.loc[f"rotation{suffix}", "mean"] - means.loc[f"baseline{suffix}", "mean"]
        np.testing.assert_allclose(means.loc[f"rotation{suffix}", "diff"], expected)


def test_classifications_keep_what_determines_their_scores(fundus, tmp_path):
    assert set(fundus.results["metric"]) == {"qwk", "accuracy", "auroc"}
    assert "qwk" in set(fundus.curves["metric"])
    assert list(fundus.cases.columns[-7:]) == ["truth", "prediction", *(f"probability_{grade}" for grade in range(5))]
    keys = ["arm", "label_fraction", "fold", "seed"]
    is_right = fundus.cases["truth"] == fundus.cases["prediction"]
    accuracy = fundus.results.query("metric == 'accuracy'").set_index(keys)["value"]
    right = is_right.groupby([fundus.cases[key] for key in keys]).mean()
    pd.testing.assert_series_equal(accuracy, right, check_names=False)
    write_tables(fundus, tmp_path)
    grades = pd.read_csv(tmp_path / "cases.csv", dtype=str).query("metric in ['truth', 'prediction']")["value"]
    assert set(grades) == set("01234")


@pytest.mark.parametrize("figure", ["fig3", "fig4"])
def test_cases_are_written_as_pandas_does_and_may_come_in_any_order(figure, tmp_path):
    paths = write_runs(tmp_path / "runs", ARMS[:2], folds=1, figure=figure)
    primary = {"fig3": PRIMARY, "fig4": "qwk"}[figure]
    summary = collect(paths, primary).summary
    for index, path in enumerate(paths):
        cases = pd.read_csv(path / "cases.csv", dtype={"case": str}).replace({"case": {"003": '003, "thin"'}})
        cases[:: (-1) ** index].to_csv(path / "cases.csv", index=False)
    tables = collect(paths, primary)
    pd.testing.assert_frame_equal(tables.summary, summary, check_exact=True)
    write_tables(tables, tmp_path)
    identity = [*RUN.split(","), "case"]
    values = tables.cases.astype(object).melt(identity, var_name="metric").sort_values([*identity, "metric"])
    assert (tmp_path / "cases.csv").read_text() == values.to_csv(index=False, lineterminator="\n")


def test_external_arms_are_compared_with_the_baseline_and_kappa_may_be_negative(fundus, tmp_path):
    means = fundus.summary.query("metric == 'qwk'").set_index(["arm", "label_fraction"])
    expected = means.loc["rotation-external", "mean"] - means.loc["baseline", "mean"]
    np.testing.assert_allclose(means.loc["rotation-external", "diff"], expected)
    # Of a single case nothing is known but what the score can be at all.
    runs = write_runs(tmp_path, ARMS[:2], folds=1, seeds=5, cases=1, fractions=(1.0,), figure="fig4")
    single = collect(runs, "qwk").summary.query("arm == 'rotation'").set_index("metric")
    columns = ["ci_low", "ci_high", "diff_low", "diff_high"]
    assert list(single.loc["qwk", columns]) == [-1, 1, -2, 2]
    assert list(single.loc["auroc", columns]) == [0, 1, -1, 1]


@pytest.mark.parametrize("metric", ["dice_foreground", "dice_paper"])
def test_plain_differences_are_the_paired_t_test_of_folds_and_the_others_wider(sound, metric):
    folds = sound.results.query("metric == @metric").groupby(["arm", "label_fraction", "fold"])["value"].mean()
    row = sound.summary.query("metric == @metric and arm == 'cpc' and label_fraction == 0.1").squeeze()
    expected = stats.ttest_rel(folds["cpc", 0.1], folds["baseline", 0.1])
    plain = expected.confidence_interval(0.95)
    assert (row["diff_plain_low"], row["diff_plain_high"]) == pytest.approx(tuple(plain))
    wider = np.sqrt(1 + 5 * 4 / 40)  # five folds of 4 test cases and 40 training cases
    assert row["diff_high"] - row["diff_low"] == pytest.approx(wider * (plain.high - plain.low))
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(expected.statistic) / wider, 4))


def test_holm_is_over_the_cells_of_the_primary_metric_without_null_arms(sound):
    of_primary = sound.summary[sound.summary["metric"] == PRIMARY]
    family = of_primary[of_primary["arm"].isin(["rotation", "cpc"])]
    assert sound.summary["p_holm"].notna().sum() == len(family) == 4
    smallest = family["p"].idxmin()
    assert family.loc[smallest, "p_holm"] == pytest.approx(min(1, 4 * family.loc[smallest, "p"]))
    assert (family["p_holm"] >= family["p"]).all()
    assert sound.summary.loc[sound.summary["arm"] == "null-1", "p"].notna().all()


def test_each_arm_but_the_null_arms_has_one_test_the_mean_over_fractions(sound):
    assert sound.tests["arm"].tolist() == ["cpc", "rotation"]
    assert set(sound.tests["metric"]) == {PRIMARY}
    scores = sound.results[sound.results["metric"] == PRIMARY].groupby(["arm", "fold"])["value"].mean()
    row = sound.tests.set_index("arm").loc["cpc"]
    expected = stats.ttest_rel(scores["cpc"], scores["baseline"])
    plain = expected.confidence_interval(0.95)
    assert row["diff"] == pytest.approx((scores["cpc"] - scores["baseline"]).mean())
    assert (row["diff_plain_low"], row["diff_plain_high"]) == pytest.approx(tuple(plain))
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(expected.statistic) / np.sqrt(1.5), 4))
    assert (row["n_runs"], row["n_cases"]) == (15, 20)
    smallest, largest = sorted(sound.tests["p"])
    assert sorted(sound.tests["p_holm"]) == pytest.approx([min(1, 2 * smallest), max(2 * smallest, largest)])


def test_an_arm_is_tested_on_the_runs_with_all_fractions_if_five_are_left(tmp_path):
    skip = [("rotation", 0.25, 1), ("cpc", 1.0, 0), ("cpc", 0.05, 2)]
    tables = collect(write_runs(tmp_path, ("baseline", "rotation", "cpc"), folds=6, cases=2, skip=skip), PRIMARY)
    assert tables.tests[["arm", "n_runs", "n_cases"]].to_numpy().tolist() == [["rotation", 5, 10]]
    scores = tables.results[tables.results["metric"] == PRIMARY].query("fold != 1").groupby("arm")["value"].mean()
    assert tables.tests["diff"].tolist() == pytest.approx([scores["rotation"] - scores["baseline"]])


def test_an_amount_of_labels_that_few_runs_have_is_no_part_of_the_tests(tmp_path):
    few = [(arm, 0.05, fold) for arm in ARMS[:2] for fold in range(1, 6)]
    paths = write_runs(tmp_path, ARMS[:2], folds=6, cases=2, skip=[*few, ("rotation", 0.25, 1)])
    test = collect(paths, PRIMARY).tests.squeeze()
    means = collect(paths, PRIMARY).results.query(f"metric == '{PRIMARY}' and fold != 1 and label_fraction != 0.05")
    scores = means.groupby("arm")["value"].mean()
    assert (test["n_runs"], test["diff"]) == (5, pytest.approx(scores["rotation"] - scores["baseline"]))


def test_the_null_band_is_around_the_baseline_and_as_wide_as_null_arms_differ(quick, sound):
    assert set(quick.null_bands["arm"]) == {"baseline"}  # baseline-2d has no null arm
    keys = ["label_fraction", "arm", "fold"]
    of_folds = sound.results[sound.results["metric"] == PRIMARY].groupby(keys)["value"].mean()
    for row in sound.null_bands[sound.null_bands["metric"] == PRIMARY].itertuples():
        baseline, null = (of_folds[row.label_fraction, arm] for arm in ("baseline", "null-1"))
        margin = stats.t.ppf(0.975, 5) * np.sqrt(((null - baseline) ** 2).mean() / 5)
        assert (row.low, row.high) == pytest.approx((baseline.mean() - margin, baseline.mean() + margin))
        assert (row.n_folds, row.df) == (5, 5)
    assert set(quick.null_bands["df"]) == {4}  # two folds, two null arms


def test_the_null_band_uses_the_seeds_that_all_its_arms_have(tmp_path):
    paths = write_runs(tmp_path, ("baseline", "null-1"), seeds=3, fractions=(1.0,))
    tables = collect([path for path in paths if "null-1" not in path.parts or "seed0" in path.parts], PRIMARY)
    of_runs = tables.results.query(f"metric == '{PRIMARY}'").pivot(
        index=["fold", "seed"], columns="arm", values="value"
    )
    differences = (of_runs["null-1"] - of_runs["baseline"]).dropna()  # in the first seed, with the same order of labels
    row = tables.null_bands.query(f"metric == '{PRIMARY}'").squeeze()
    assert (row["n_folds"], row["df"]) == (2, 2)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(stats.t.ppf(0.975, 2) * np.sqrt((differences**2).mean() / 2))
    assert (row["high"] + row["low"]) / 2 == pytest.approx(of_runs["baseline"].mean())


def test_the_null_band_uses_the_folds_that_all_its_arms_have(tmp_path):
    arms, fractions, skip = ("baseline", "null-1", "null-2"), (0.1, 1.0), [("null-2", 0.1, 1)]
    two, three = (
        collect(write_runs(tmp_path / str(number), arms, folds=number, fractions=fractions, skip=skip), PRIMARY)
        for number in (2, 3)
    )
    assert set(two.null_bands["label_fraction"]) == {1.0}
    numbers = three.null_bands.query(f"metric == '{PRIMARY}'").set_index("label_fraction")
    assert numbers["n_folds"].to_dict() == {0.1: 2, 1.0: 3}
    assert numbers["df"].to_dict() == {0.1: 4, 1.0: 6}


def test_missing_runs_are_listed_and_differences_use_the_runs_both_have(tmp_path):
    tables = collect(write_runs(tmp_path, ARMS[:2], folds=6, cases=2, skip=[("rotation", 0.25, 1)]), PRIMARY)
    assert tables.missing == ("rotation 25 % fold 1 seed 0",)
    scores = tables.results.query("metric == 'dice_foreground' and label_fraction == 0.25").pivot(
        index="fold", columns="arm", values="value"
    )
    row = tables.summary.query("metric == 'dice_foreground' and arm == 'rotation' and label_fraction == 0.25").squeeze()
    assert row["n_runs"] == 5
    assert row["diff"] == pytest.approx((scores["rotation"] - scores["baseline"]).mean())


def test_intervals_count_all_training_cases_however_few_have_labels(tmp_path):
    assert collect(write_runs(tmp_path, ARMS[:2], cases=4, fractions=(0.1,)), PRIMARY).test_to_train == 4 / 40


def test_folds_of_ten_are_corrected_for_more_cases_in_common_however_many_are_run(tmp_path):
    paths = write_runs(tmp_path, ARMS[:2], folds=5, cases=4, fractions=(1.0,))
    assert collect(paths, PRIMARY).test_to_train == 4 / 40
    for path in paths:
        _changed(path, lambda record: record.update(n_folds=10))
    tables = collect(paths, PRIMARY)
    row, results = tables.tests.iloc[0], tables.results.query(f"metric == '{PRIMARY}'")
    scores = results.pivot(index="fold", columns="arm", values="value")
    differences = scores["rotation"] - scores["baseline"]
    margin = stats.t.ppf(0.975, 4) * differences.std() * (1 / 5 + 160 / 407) ** 0.5
    assert (row["diff_high"] - row["diff_low"]) / 2 == pytest.approx(margin)


def _changed(path, change):
    """Change the results of a run as `change` does."""
    record = json.loads((path / "results.json").read_text())
    change(record)
    (path / "results.json").write_text(json.dumps(record))


def _with_infinite_case(path):
    cases = pd.read_csv(path / "cases.csv", dtype={"case": str})
    cases.assign(dice_foreground=np.inf).to_csv(path / "cases.csv", index=False)


BAD = ("rotation", 0.25, 1)


@pytest.fixture(scope="module")
def without_bad(tmp_path_factory):
    return collect(write_runs(tmp_path_factory.mktemp("runs"), ARMS[:2], skip=[BAD]), PRIMARY)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: (path / "results.json").write_text("{"), "makes it again"),
        (lambda path: (path / "results.json").write_text("{}"), r"results.json has no arm, .*n_train"),
        (lambda path: (path / "cases.csv").unlink(), "cases.csv"),
        (lambda path: _changed(path, lambda record: record["metrics"].update({PRIMARY: None})), "dice.* is not finite"),
        (_with_infinite_case, "dice_foreground is not finite"),
        (
            lambda path: _changed(path, lambda record: record["validation"][2].update({"train/loss": None})),
            "training loss is not finite at update 30",
        ),
    ],
)
def test_a_run_that_cannot_be_used_is_missing_and_all_others_are_there(tmp_path, without_bad, damage, reason):
    paths = write_runs(tmp_path, ARMS[:2])
    path = tmp_path / "rotation" / "fold1" / "seed0" / "25"
    damage(path)
    tables = collect(paths, PRIMARY)
    assert tables.missing == without_bad.missing == ("rotation 25 % fold 1 seed 0",)
    assert [*tables.unusable] == [path]
    assert re.search(reason, tables.unusable[path])
    pd.testing.assert_frame_equal(tables.summary, without_bad.summary)


@pytest.mark.slow
def test_an_added_amount_of_labels_of_one_arm_changes_no_test_and_no_chosen_curve(tmp_path):
    whole = write_runs(tmp_path, ARMS[:2], folds=5, cases=3)
    before = collect(whole, PRIMARY)
    part = write_runs(tmp_path, ("rotation",), folds=1, cases=3, fractions=(0.5,))
    after = collect([*whole, *part], PRIMARY)
    pd.testing.assert_frame_equal(after.tests, before.tests)
    pd.testing.assert_frame_equal(after.efficiency, before.efficiency)
    assert middle_fraction(after.curves) == middle_fraction(before.curves) == 0.25
    added = after.summary["label_fraction"] == 0.5
    columns = [name for name in HEADERS["summary"].split(",") if name != "p_holm"]
    pd.testing.assert_frame_equal(after.summary[~added].reset_index(drop=True)[columns], before.summary[columns])


def test_refuses_nothing_and_unlike_cases(tmp_path):
    with pytest.raises(UserError, match="no run has finished"):
        collect([tmp_path / "baseline" / "fold0" / "seed0" / "5"], PRIMARY)
    paths = write_runs(tmp_path, ARMS[:2], folds=1, seeds=5)
    path = tmp_path / "rotation" / "fold0" / "seed0" / "5"
    cases = pd.read_csv(path / "cases.csv", dtype={"case": str})
    cases.replace({"case": {"003": "104"}}).to_csv(path / "cases.csv", index=False)
    with pytest.raises(DataError, match="rotation and baseline were scored on different test cases"):
        collect(paths, PRIMARY)
    with pytest.raises(UserError, match="qwk: no run has this score; there are dice_class_1"):
        collect(paths[:3], "qwk")
