"""The figure for papers: a panel for each arm, one with all differences, letters, and a caption beside it."""

import matplotlib
import numpy as np
import pytest
from synthetic_runs import TASKS, write_runs

from sslmed.reporting.figures import draw_figure
from sslmed.reporting.paper_figure import PRINTED, draw_paper_figure, paper_figure
from sslmed.reporting.tables import collect

ARMS = ("baseline", *TASKS, "null-1")


def panel_texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.slow
def test_each_arm_has_a_panel_over_its_baseline_and_the_last_one_shows_the_primary_tests(tmp_path):
    tables = collect(write_runs(tmp_path, (*ARMS, "cpc-2d", "baseline-2d"), folds=5), "dice_foreground")
    figure = paper_figure(tables, phantom=False, metric="dice_foreground")
    *panels, differences = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [*"abcdefg"]
    assert panel_texts(panels[0]) == ["baseline", "rotation", "chance alone"]
    assert [panel_texts(axes) for axes in panels[1:]] == [[arm] for arm in (*TASKS[1:], "cpc-2d")]
    assert [len(axes.containers) for axes in panels] == [2] * 6
    for axes in panels:
        first, second = (container.lines[0] for container in axes.containers)
        assert first.get_marker() != second.get_marker()
    assert differences.containers[0].lines[0].get_xdata() == pytest.approx(
        tables.tests.set_index("arm").loc["rotation", "diff"]
    )
    assert [text.get_text() for text in differences.get_yticklabels()] == [*TASKS, "cpc-2d"]
    assert len({axes.get_ylim() for axes in panels}) == 1
    assert figure.get_suptitle() == ""


@pytest.mark.slow
def test_few_runs_have_no_panel_of_differences_and_a_phantom_is_named(tmp_path):
    tables = collect(write_runs(tmp_path, ARMS), "dice_foreground")
    figure = paper_figure(tables, phantom=True, metric="dice_foreground")
    assert len(figure.axes) == len(TASKS)
    assert np.all(["synthetic" in axes.get_xlabel() for axes in figure.axes[-3:]])


def test_names_of_many_or_long_arms_stay_in_their_panels(tmp_path):
    arms = ("a-pretext-task-of-ones-own-with-a-long-name", "rotation-external", *TASKS[1:], "mae-decoder-external")
    tables = collect(write_runs(tmp_path, ("baseline", *arms), cases=3), "dice_foreground")
    with matplotlib.rc_context(PRINTED):
        figure = paper_figure(tables, phantom=True, metric="dice_foreground")
        figure.draw_without_rendering()
    for axes in figure.axes:
        panel, legend = axes.get_window_extent(), axes.get_legend().get_window_extent()
        assert panel.x0 <= legend.x0
        assert legend.x1 <= panel.x1
        assert axes.xaxis.label.get_window_extent().x1 <= figure.bbox.x1


def test_equal_runs_give_equal_bytes_and_the_caption_says_what_bars_are(tmp_path):
    runs = write_runs(tmp_path, ARMS[:2], cases=3, dataset="pancreas")
    written = []
    for paths in (runs, runs[::-1]):
        files = tmp_path / "figure.pdf", tmp_path / "caption.txt"
        draw_paper_figure(
            collect(paths, "dice_foreground"), *files, phantom=True, metric="dice_foreground", notes=["A note."]
        )
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    lines = written[0][1].decode().splitlines()
    assert lines[0] == "Phantom: synthetic images, not patients."
    assert any(line.startswith("Bars: 95 % intervals") for line in lines)
    assert not [line for line in lines if "Bands:" in line or "published" in line]  # there are none in it
    assert lines[-1] == "A note."


def test_null_arms_alone_have_tables_and_no_curve_and_the_panels_say_so(tmp_path):
    tables = collect(write_runs(tmp_path, ("null-1",), cases=3), "dice_foreground")
    draw_figure(tables, tmp_path / "a.png", tmp_path / "a.svg", phantom=True, metrics=["dice_foreground"])
    assert (tmp_path / "a.svg").read_text().count("no curves to draw") == 2
    (axes,) = paper_figure(tables, phantom=True, metric="dice_foreground").axes
    assert [text.get_text().partition(":")[0] for text in axes.texts] == ["no curves to draw"]
