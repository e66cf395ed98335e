import pytest
from matplotlib.figure import Figure
from synthetic_experiment import data_of, write_experiment
from synthetic_runs import write_runs

from sslmed.core.label_amount import LabelAmount
from sslmed.reporting.html.page import report_experiment
from sslmed.reporting.label_axis import LabelAxis
from sslmed.reporting.panels import draw_scores
from sslmed.reporting.styles import arm_styles
from sslmed.reporting.tables import collect

ARMS = ("baseline", "cpc")
COUNTS = (1, 4, 16)
PRIMARY = "dice_foreground"


def test_a_number_of_labels_is_one_cell_and_exact_though_folds_differ_in_size(tmp_path):
    tables = collect(
        write_runs(tmp_path, ARMS, folds=5, cases=3, counts=COUNTS, fractions=(1.0,), unequal=True), PRIMARY
    )
    cells = tables.results.groupby("label_fraction")["n_labels"].agg(["min", "max"])
    assert cells.loc[: cells.index[-2]].to_numpy().tolist() == [[n, n] for n in COUNTS]
    # Folds have 40 to 44 training cases, 42 in the mean.
    assert cells.index.tolist() == pytest.approx([1 / 42, 4 / 42, 16 / 42, 1], abs=1e-6)
    assert set(tables.summary["n_runs"]) == {5}
    assert set(tables.efficiency["quantity"]) == {"labels_to_baseline", "updates_to_baseline"}


def test_a_number_that_is_all_labels_counts_once(tmp_path):
    both = collect(write_runs(tmp_path, ARMS, folds=1, cases=3, counts=(40,), fractions=(1.0,)), PRIMARY)
    assert both.results["label_fraction"].unique().tolist() == [1.0]
    assert set(both.summary["n_runs"]) == {1}


def test_a_number_that_is_a_fraction_of_the_mean_fold_is_one_cell_with_it(tmp_path):
    paths = write_runs(tmp_path, ARMS, folds=5, cases=3, counts=(21,), fractions=(0.5, 1.0), unequal=True)
    tables = collect(paths, PRIMARY)  # folds have 40 to 44 training cases, half of which are 20 to 22
    assert tables.results.groupby("label_fraction")["n_labels"].nunique().to_dict() == {0.5: 3, 1.0: 5}
    assert set(tables.summary["n_runs"]) == {5}


def test_a_missing_run_is_named_by_its_labels(tmp_path):
    runs = write_runs(tmp_path, ARMS, cases=3, counts=COUNTS, fractions=(1.0,), skip=[("cpc", 4, 1)])
    assert collect(runs, PRIMARY).missing == ("cpc 4 labels fold 1 seed 0",)


def test_ticks_are_numbers_or_percentages_along_a_logarithmic_axis(tmp_path):
    tables = collect(write_runs(tmp_path, ARMS, folds=1, cases=3, counts=COUNTS, fractions=(1.0,)), PRIMARY)
    axes = Figure().add_subplot()
    draw_scores(axes, tables, arm_styles(ARMS), PRIMARY)
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "1\nlabel", "4\nlabels", "16\nlabels", "100 %\nn = 40",
    ]  # fmt: skip
    at = axes.get_xticks()
    assert at[1:] / at[:-1] == pytest.approx([4, 4, 2.5], rel=1e-4)


@pytest.mark.slow
def test_the_report_speaks_of_numbers(tmp_path):
    page = report_experiment(write_experiment(tmp_path, arms=ARMS, cases=3, counts=COUNTS, fractions=()), tmp_path)
    text = page.read_text()
    data = data_of(text)
    assert data["amounts"] == ["1 label", "4 labels", "16 labels"]
    assert [*data["viewer"]["cells"]["cpc"]] == sorted(data["amounts"])
    assert "Convergence with 4 labels" in text
    assert "the same labelled cases, 1 label to 16 labels, for" in text
    assert "%" not in text.split('id="matrix"')[1].split("</thead>")[0].replace("95 %", "")


def test_between_cells_are_labels_or_percentages():
    n_train = {0: 9, 1: 11}
    assert LabelAxis.of([LabelAmount(count=2)], n_train).between(0.531) == "5.31 labels"
    assert LabelAxis.of([LabelAmount(fraction=0.2)], n_train).between(0.531) == "53.1 %"
