"""What a figure says, read from the text of its SVG, and that equal runs give equal bytes."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from synthetic_runs import TASKS, write_runs

from sslmed.experiments.experiment import read_experiment
from sslmed.reporting.figures import draw_figure
from sslmed.reporting.html.swatches import swatch
from sslmed.reporting.panels import band, convergence, draw_convergence, draw_scores, legend_entries
from sslmed.reporting.published import published_curves
from sslmed.reporting.styles import arm_styles, dodges, groups
from sslmed.reporting.tables import collect

SIX = ("baseline", *TASKS)
EXTERNAL = tuple(f"{task}-external" for task in TASKS)
SLICES = tuple(f"{arm}-2d" for arm in (*SIX, *EXTERNAL))
REGIONS = ("dice_wt", "dice_tc", "dice_et")
CASES_ONLY = "over test cases only: they do not include training noise"


def draw(tmp_path, runs, *, phantom=True, metrics=("dice_foreground",), notes=()):
    png, svg = tmp_path / "figure.png", tmp_path / "figure.svg"
    draw_figure(collect(runs, metrics[0]), png, svg, phantom=phantom, metrics=metrics, notes=notes)
    assert png.read_bytes().startswith(b"\x89PNG")
    return svg.read_text()


def texts(svg):
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_quick_figure_on_a_phantom(tmp_path):
    shown = texts(draw(tmp_path, write_runs(tmp_path, SIX), notes=["Pretraining saw the test images."]))
    assert set(SIX) <= set(shown)
    page = "\n".join(shown)
    assert "PHANTOM" in page
    assert CASES_ONLY in page
    assert "2 folds \N{MULTIPLICATION SIGN} 1 seed, 16 test cases" in page
    assert "Pretraining saw the test images." in page
    assert "Convergence with 25 % of the labels" in page
    assert {"5 %", "n = 2", "100 %", "n = 40"} <= set(shown)
    assert "missing" not in page
    assert "published" not in page


@pytest.mark.slow
def test_null_arms_are_a_band_not_curves_and_few_runs_flag_nothing(tmp_path):
    runs = write_runs(tmp_path, (*SIX[:2], "null-1"))
    shown = texts(draw(tmp_path, runs))
    assert "chance alone" in shown
    assert "null-1" not in shown
    page = " ".join(shown)
    assert "estimated from null-1 (2 degrees of freedom, so it is rough itself)" in page
    assert "no difference to the baseline is given" in page
    tables = collect(runs, "dice_foreground")
    axes = Figure().add_subplot()
    draw_scores(axes, tables, arm_styles([*SIX[:2], "null-1"]), "dice_foreground")
    (band,) = [area for area in axes.collections if isinstance(area, PolyCollection)]
    assert len(axes.containers) == 2  # two curves with bars
    corners = np.round(band.get_paths()[0].vertices, 9).tolist()
    rows = tables.null_bands[tables.null_bands["metric"] == "dice_foreground"].round(9)
    for row in rows.itertuples():
        assert [row.label_fraction, row.low] in corners
        assert [row.label_fraction, row.high] in corners


def test_an_arm_with_fewer_runs_everywhere_is_marked_in_the_legend_and_not_at_its_cells(tmp_path):
    runs = write_runs(tmp_path, SIX[:3])
    tables = collect([run for run in runs if "rotation/fold1" not in str(run)], "dice_foreground")
    arms, axes = arm_styles(SIX[:3]), Figure().add_subplot()
    draw_scores(axes, tables, arms, "dice_foreground")
    assert not axes.texts
    names = [entry.get_label() for entry in legend_entries(tables, arms, "dice_foreground")]
    assert names == ["baseline", "rotation \N{DAGGER}", "jigsaw"]


@pytest.mark.slow
def test_incomplete_cells_are_marked_and_named(tmp_path):
    runs = write_runs(tmp_path, SIX[:3], skip=[("rotation", 0.25, 1), ("jigsaw", 0.05, 0), ("jigsaw", 0.05, 1)])
    shown = texts(draw(tmp_path, runs))
    assert shown.count("†") == 2
    assert any("missing: rotation 25 % fold 1 seed 0, jigsaw 5 % fold 0 seed 0" in text for text in shown)
    assert "one run, so no band: rotation" in shown  # one run is left of the convergence shown


@pytest.mark.slow
def test_five_folds_on_the_published_dataset(tmp_path):
    runs = write_runs(tmp_path, SIX[:2], folds=5, cases=3, dataset="pancreas")
    page = "\n".join(texts(draw(tmp_path, runs, phantom=False)))
    assert "Dashed: as published by Taleb et al. 2020" in page
    assert "our 100 % of the labels is 64 % of the labelled cases" in page
    assert "include the noise of training" in page
    assert "corrected for training sets that overlap between folds (Nadeau and Bengio 2003)" in page
    assert "no difference" not in page
    assert CASES_ONLY not in page
    assert "PHANTOM" not in page


def test_a_pass_in_which_all_folds_score_the_same_has_no_band():
    """Five times 0 before anything is segmented tell little: the interval would be more than half of the panel."""
    runs = pd.DataFrame([[0.0] * 5, [0.1, 0.2, 0.3, 0.2, 0.1]], columns=pd.MultiIndex.from_product([range(5), [0]]))
    low, high = band(runs.rename_axis(columns=["fold", "seed"]), "dice_foreground", 0.25)
    assert low[0] == high[0] == 0
    assert 0 < low[1] < 0.18 < high[1]


def test_a_single_run_has_a_convergence_curve_without_a_band(tmp_path):
    tables = collect(write_runs(tmp_path, SIX[:2], folds=1), "dice_foreground")
    axes = Figure().add_subplot()
    draw_convergence(axes, tables, arm_styles(SIX[:3]), "dice_foreground")
    assert [len(line.get_xdata()) for line in axes.lines] == [15, 15]
    assert not axes.collections
    assert [text.get_text() for text in axes.texts] == ["one run, so no band: baseline, rotation\nno run: jigsaw"]
    curves = tables.curves.query("metric == 'dice_foreground' and label_fraction == 0.25 and arm == 'rotation'")
    assert axes.lines[1].get_ydata().tolist() == curves.sort_values("update")["value"].tolist()


@pytest.mark.slow
def test_long_lines_of_the_caption_stay_in_the_figure(tmp_path):
    shown = texts(draw(tmp_path, write_runs(tmp_path, SIX[:1], folds=1), notes=[" ".join(["did not learn"] * 30)]))
    of_note = [text for text in shown if "did not learn" in text]
    assert len(of_note) > 1
    assert max(map(len, of_note)) < 15 * 12.2


@pytest.mark.parametrize(
    "arm", ["rotation", "a-pretext-task-of-ones-own-with-a-long-name", "one_that_has_no_hyphens_at_all"]
)
def test_the_legend_leaves_title_and_panels_their_place(tmp_path, monkeypatch, arm):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *rest, **how: (drawn.append(self), save(self, *rest, **how)))
    draw(tmp_path, write_runs(tmp_path / "runs", ("baseline", arm), fractions=(1.0,)))
    figure = drawn[0]
    title, legend = figure._suptitle.get_window_extent(), figure.legends[0].get_window_extent()
    assert not title.overlaps(legend)
    assert figure.axes[-1].get_window_extent().x1 < legend.x0
    assert legend.width < figure.bbox.width / 4


def test_runs_with_a_few_updates_more_or_less_have_a_common_curve(tmp_path):
    tables = collect(write_runs(tmp_path, ("baseline",)), "dice_foreground")
    later = tables.curves["fold"] == 1
    curves = tables.curves.assign(update=tables.curves["update"] + 2 * later)
    assert convergence(curves, "baseline", "dice_foreground").index.tolist() == [*range(11, 161, 10)]


def test_there_are_no_halves_of_updates(tmp_path):
    tables = collect(write_runs(tmp_path, ("baseline",)), "dice_foreground")
    few = tables.curves.assign(update=tables.curves["update"] * 20 // tables.curves["update"].max())
    axes = Figure().add_subplot()
    draw_convergence(axes, replace(tables, curves=few), arm_styles(("baseline",)), "dice_foreground")
    axes.set_xlim(0, 4)
    assert [tick for tick in axes.get_xticks() if tick % 1] == []


def test_the_arms_of_a_single_fraction_stay_together(tmp_path):
    tables = collect(write_runs(tmp_path, SIX, fractions=(0.25,)), "dice_foreground")
    axes = Figure().add_subplot()
    draw_scores(axes, tables, arm_styles(SIX), "dice_foreground")
    assert axes.get_xlim() == (0.125, 0.5)


def test_equal_runs_give_equal_bytes(tmp_path):
    runs = write_runs(tmp_path, SIX[:2], cases=3)
    first = draw(tmp_path, runs), (tmp_path / "figure.png").read_bytes()
    assert first == (draw(tmp_path, runs[::-1]), (tmp_path / "figure.png").read_bytes())
    assert "<dc:date>" not in first[0]


@pytest.mark.slow
def test_every_metric_has_a_panel_and_the_first_one_convergence(tmp_path):
    shown = texts(draw(tmp_path, write_runs(tmp_path, SIX[:2], figure="fig2"), metrics=REGIONS))
    for region in ("whole tumour", "tumour core", "enhancing tumour"):
        assert {f"Test score, {region} Dice", f"{region} Dice"} <= set(shown)
    assert [text for text in shown if text.startswith("validation")] == ["validation whole tumour Dice"]
    assert not any("not drawn" in text for text in shown)


@pytest.mark.slow
def test_many_arms_go_into_rows_by_kind_beside_the_published_ones(tmp_path):
    runs = write_runs(tmp_path, (*SIX, *EXTERNAL), cases=5, fractions=(1.0,), dataset="aptos", figure="fig4")
    shown = texts(draw(tmp_path, runs, phantom=False, metrics=["qwk"]))
    for title in ("Test score", "Convergence with 100 % of the labels", "Dashed: as published by Taleb et al. 2020"):
        assert shown.count(title) == shown.count(f"{title}, external pool") == 1
    assert "validation quadratic weighted kappa" in shown
    assert set(EXTERNAL) <= set(shown)


def test_styles_differ_with_and_without_colour():
    arms = [*SIX, *EXTERNAL, *SLICES]
    chosen = arm_styles(arms[::-1])
    assert [style.arm.name for style in chosen] == arms
    styles = [style.line_options for style in chosen]
    assert len({(style["marker"], style["linestyle"]) for style in styles}) == len(arms)
    assert len({(style["marker"], style["fillstyle"]) for style in styles}) == len(
        arms
    )  # published ones are all dashed
    assert len({(style["color"], style["linestyle"]) for style in styles}) == len(arms)


def test_all_arms_of_ours_have_their_own_colour_and_marker():
    ours = dict.fromkeys(arm for arms in read_experiment("fig3").groups.values() for arm in arms)
    for part, own in (("colour", ("own-1", "own-2", "own-3", "own-4")), ("marker", ("own",))):
        styles = arm_styles([*ours, *own])
        assert len({getattr(style, part) for style in styles}) == len(styles) == len(ours) + len(own)
    for style in arm_styles([*ours, *"abcd"]):
        assert re.fullmatch(r"M[-\d. ]+([LC][-\d. ]+)+Z", swatch(style)["path"])


def test_groups_are_all_or_each_kind_with_its_baseline():
    def names(arms):
        return [[style.arm.name for style in group] for group in groups(arm_styles(arms))]

    few = ["baseline", "rotation", "rotation-external", "baseline-2d", "rotation-2d", "mine"]
    assert names(few) == [["baseline", "rotation", "mine", "rotation-external", "baseline-2d", "rotation-2d"]]
    of_slices = [[*SLICES[:6]], ["baseline-2d", *SLICES[6:]]]
    assert names([*SIX, *EXTERNAL, *SLICES]) == [[*SIX], ["baseline", *EXTERNAL], *of_slices]
    assert names(["baseline", *EXTERNAL, *SLICES[:6]]) == [["baseline", *EXTERNAL], [*SLICES[:6]]]


@pytest.mark.parametrize("number", [1, 6, 8])
def test_dodges_keep_fractions_apart(number):
    factors = dodges(number)
    assert factors == sorted(factors)
    assert factors[-1] / factors[0] < 2**0.6  # 5 % and 10 % do not mix
    assert factors[0] * factors[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("figure", "dataset", "metric", "arm", "fraction", "value"),
    [
        ("fig3", "pancreas", "dice_paper", "baseline", 1.0, 0.6089),
        ("fig3", "pancreas", "dice_paper", "cpc", 0.25, 0.6075),
        ("fig3", "pancreas", "dice_paper", "rotation-2d", 0.05, 0.3574),
        ("fig4", "aptos", "qwk", "baseline", 0.05, 0.0101),
        ("fig4", "aptos", "qwk", "cpc", 0.1, 0.4424),
        ("fig4", "aptos", "qwk", "exemplar-external", 0.05, 0.4875),
    ],
)
def test_published_curves(figure, dataset, metric, arm, fraction, value):
    published = published_curves(figure, dataset)
    arms = {"fig3": {*SIX, *SLICES[:6]}, "fig4": {*SIX, *EXTERNAL}}[figure]
    assert published.groupby("arm").size().to_dict() == dict.fromkeys(arms, 5)
    assert set(published["metric"]) == {metric}
    assert published.set_index(["arm", "label_fraction"])["value"][arm, fraction] == value


@pytest.mark.parametrize("data", [("fig3", "phantom"), ("fig4", "phantom"), ("fig3", "aptos"), ("fig2", "brats")])
def test_nothing_published_is_comparable(data):
    assert published_curves(*data).empty
