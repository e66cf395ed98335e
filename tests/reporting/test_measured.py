"""`sslmed reproduce --check`: scores of a phantom's quick experiment beside those that were measured."""

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from commands import exit_status

from sslmed.reporting.measured import check, measured_scores

RESULTS = Path(__file__).parents[2] / "docs" / "results.md"


def write_summary(folder, figure, shifts) -> None:
    """Write a summary.csv with the measured scores, shifted by fractions of the range from the first cell on."""
    table = measured_scores(figure)
    moves = pd.Series(shifts, index=table.index[: len(shifts)]).reindex(table.index, fill_value=0.0)
    mean = table["mean"] + moves * table["range"]
    mean.rename("mean").reset_index().assign(figure=figure).to_csv(folder / "summary.csv", index=False)


def test_cells_outside_the_range_are_named(tmp_path, capsys) -> None:
    write_summary(tmp_path, "fig3", [0.99, -0.99])
    assert check(tmp_path, "fig3") == 0
    assert capsys.readouterr().out.startswith("check: 21 of 21 scores are within 0.056")
    write_summary(tmp_path, "fig3", [0.5, -1.01])
    assert check(tmp_path, "fig3") == 1
    named, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"dice_foreground of baseline with 25 % of the labels: 0\.\d{3}, measured 0\.640 \(range 0\.056\)", named
    )
    assert last.startswith("check: 20 of 21")
    write_summary(tmp_path, "fig3", [math.nan])
    assert check(tmp_path, "fig3") == 1
    table = pd.read_csv(tmp_path / "summary.csv")
    table.assign(arm="mae").to_csv(tmp_path / "summary.csv", index=False)
    assert check(tmp_path, "fig3") == 1
    assert "0 of 0" in capsys.readouterr().out


def test_arms_that_were_not_run_are_not_missed(tmp_path, capsys) -> None:
    write_summary(tmp_path, "fig4", [])
    table = pd.read_csv(tmp_path / "summary.csv")
    table[table["arm"] == "baseline"].to_csv(tmp_path / "summary.csv", index=False)
    assert check(tmp_path, "fig4") == 0
    assert "9 of 9" in capsys.readouterr().out


@pytest.mark.parametrize("figure", ["fig2", "fig3", "fig4"])
def test_the_measured_scores_are_those_of_the_docs(figure) -> None:
    section = RESULTS.read_text().partition(f"`make reproduce-{figure}`")[2].partition("\n## ")[0]
    rows = re.findall(r"\| ([\w-]+) \| (.*\[.*) \|", section)
    written = [(arm, [float(cell.split()[0]) for cell in cells.split(" | ")]) for arm, cells in rows]
    measured = measured_scores(figure).reset_index().groupby(["metric", "arm"])["mean"].apply(list)
    for (_, arm), means in measured.items():
        assert any(arm == row and means == pytest.approx(values, abs=6e-4) for row, values in written)
    assert len(written) == len(measured)


@pytest.mark.parametrize(
    "options",
    [
        *(["--folds", "0"], ["--preset", "sound"], ["--data", "Task"], ["--seeds", "3"]),
        *(["--finetuning", "frozen"], ["--spacing", "auto"], ["--devices", "2"], ["--labels", "2"]),
    ],
    ids=" ".join,
)
def test_what_was_not_measured_is_refused_before_anything_runs(options, capsys) -> None:
    assert exit_status("reproduce", "fig3", "--check", *options) == 2
    assert f"leave out {options[0]}" in capsys.readouterr().err
    assert exit_status("reproduce", "fig3", "--check", "--fractions", 0.1) == 2
    assert "--fractions has none of those that were measured: 0.05, 0.25, 1.0" in capsys.readouterr().err
    assert exit_status("reproduce", "regression", "--check") == 2
    assert "no scores of regression ship" in capsys.readouterr().err
