"""What a figure says, read from the text of its SVG, and that equal runs give equal bytes."""

import re

import pytest
from synthetic_runs import TASKS, write_runs

from sslmed.experiments.figures import draw_figure
from sslmed.experiments.looks import looks
from sslmed.experiments.reference import published_curves
from sslmed.experiments.tables import collect

SIX = ("baseline", *TASKS)
CASES_ONLY = "over test cases only: does not include training noise"


def draw(tmp_path, runs, *, phantom=True, notes=()):
    png, svg = tmp_path / "fig3.png", tmp_path / "fig3.svg"
    draw_figure(collect(runs), png, svg, phantom=phantom, notes=notes)
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


def test_incomplete_cells_are_marked_and_named(tmp_path):
    runs = write_runs(tmp_path, SIX[:3], skip=[("rotation", 0.25, 1), ("jigsaw", 0.05, 0), ("jigsaw", 0.05, 1)])
    shown = texts(draw(tmp_path, runs))
    assert shown.count("†") == 2
    assert any("missing: rotation 25 % fold 1 seed 0, jigsaw 5 % fold 0 seed 0" in text for text in shown)
    assert "have no interval: rotation" in shown  # one run is left of the convergence shown


def test_five_folds_on_the_published_dataset(tmp_path):
    runs = write_runs(tmp_path, SIX[:2], folds=5, cases=3, dataset="pancreas")
    page = "\n".join(texts(draw(tmp_path, runs, phantom=False)))
    assert "Dashed: as published by Taleb et al. 2020" in page
    assert "include the noise of training" in page
    assert CASES_ONLY not in page
    assert "PHANTOM" not in page


def test_a_curve_without_an_interval_is_not_drawn(tmp_path):
    shown = texts(draw(tmp_path, write_runs(tmp_path, ("baseline",), folds=1)))
    assert "have no interval: baseline" in shown


def test_equal_runs_give_equal_bytes(tmp_path):
    runs = write_runs(tmp_path, SIX[:2], cases=3)
    first = draw(tmp_path, runs), (tmp_path / "fig3.png").read_bytes()
    assert first == (draw(tmp_path, runs[::-1]), (tmp_path / "fig3.png").read_bytes())
    assert "<dc:date>" not in first[0]


def test_looks_differ_without_colour_and_dodges_keep_the_order():
    arms = [*SIX, *(f"{task}-2d" for task in TASKS), "cpc-external", "mine"]
    chosen = looks(arms)
    assert [look.arm for look in chosen] == [*SIX, "cpc-external", "mine", *(f"{task}-2d" for task in TASKS)]
    assert len({(look.marker, look.line) for look in chosen}) == len(arms)
    dodges = [look.dodge for look in chosen]
    assert dodges == sorted(dodges)
    assert dodges[-1] / dodges[0] < 2**0.6  # 5 % and 10 % do not mix


@pytest.mark.parametrize(
    ("arm", "fraction", "value"), [("baseline", 1.0, 0.6089), ("cpc", 0.25, 0.6075), ("rotation-2d", 0.05, 0.3574)]
)
def test_published_curves(arm, fraction, value):
    curves = published_curves("fig3", "pancreas").set_index(["arm", "label_fraction"])["value"]
    assert len(curves) == 2 * 6 * 5
    assert curves[arm, fraction] == value
    assert published_curves("fig3", "phantom").empty
