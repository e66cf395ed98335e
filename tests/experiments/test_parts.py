"""A command for a part of an experiment adds to the whole; a run without a finite score keeps no other from it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from commands import TINY, reproduce, results_of, work_of

from sslmed.reporting.html.page import report_experiment

TABLES = ("results.csv", "cases.csv", "summary.csv", "tests.csv", "null_bands.csv", "efficiency.csv")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_one_process")]


def _reproduce(folder: Path, *options: object) -> int:
    return reproduce(folder, "fig3", "--preset", TINY, *options)


@pytest.fixture(scope="module")
def finished(in_one_process: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms in two folds, with all labels."""
    folder = tmp_path_factory.mktemp("finished")
    assert _reproduce(folder, "--arms", "baseline", "rotation", "--fractions", "1", "--folds", "0", "1") == 0
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The same once more: paths are part of no key, so its runs count as done."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_part_of_what_is_done_changes_no_byte(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = (*TABLES, "fig3.svg", "report.html")
    assert _reproduce(copy, "--arms", "baseline", "rotation", "--fractions", "1", "--folds", "0", "1") == 0
    before = {name: (results_of(copy) / name).read_bytes() for name in names}
    capsys.readouterr()
    assert _reproduce(copy, "--arms", "rotation", "--fractions", "1", "--folds", "1") == 0
    assert "they show 3 finished runs of earlier commands with the same settings as well" in capsys.readouterr().out
    assert {name: (results_of(copy) / name).read_bytes() for name in names} == before
    assert "rotation" in report_experiment(work_of(copy), copy / "again").read_text()


def test_an_added_part_is_drawn_beside_all_that_was_there(copy: Path) -> None:
    before = pd.read_csv(results_of(copy) / "results.csv")
    assert _reproduce(copy, "--arms", "baseline", "--fractions", "0.4", "--folds", "0") == 0
    after = pd.read_csv(results_of(copy) / "results.csv")
    assert after[after["label_fraction"] == 1].reset_index(drop=True).equals(before)
    added = after.loc[after["label_fraction"] == 0.4, ["arm", "fold"]].drop_duplicates()
    assert added.to_numpy().tolist() == [["baseline", 0]]
    assert "\N{DAGGER} fewer runs than elsewhere" in (results_of(copy) / "fig3.svg").read_text()


def test_finished_runs_with_other_settings_are_not_mixed_in(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = tmp_path / "tiny"
    shutil.copytree(TINY, preset)
    (preset / "finetune.yaml").write_text("data: {init_args: {batch_size: 2, updates: 3, validations: 3}}")
    part = ["--arms", "baseline", "--fractions", "1", "--folds", "0"]
    (work_of(copy) / "origin.json").unlink()  # as if it were the same preset, edited
    assert _reproduce(copy, *part, "--preset", str(preset)) == 0
    assert "3 finished runs have other settings or data and are in no table or figure" in capsys.readouterr().err
    results = pd.read_csv(results_of(copy) / "results.csv")
    assert results[["arm", "fold"]].drop_duplicates().to_numpy().tolist() == [["baseline", 0]]
    assert _reproduce(copy, "--preset", str(preset), "--final", "--dry-run") == 0  # rotation has two runs, old ones
    assert "baseline/final" in capsys.readouterr().out
    for path in preset.glob("finetune.yaml"):
        path.write_text(path.read_text().replace("updates: 3", "updates: 4"))
    assert _reproduce(copy, "--preset", str(preset), "--final", "--dry-run") == 2
    assert "has no finished runs with these settings and data" in capsys.readouterr().err


def test_a_run_without_a_finite_score_is_named_and_the_others_are_drawn(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = work_of(copy) / "rotation" / "fold0" / "seed0" / "100"
    record = json.loads((path / "results.json").read_text())
    record["metrics"]["dice_foreground"] = None
    (path / "results.json").write_text(json.dumps(record))
    assert _reproduce(copy, "--arms", "baseline", "rotation", "--fractions", "1", "--folds", "0", "1") == 1
    assert f"failed: {path / 'run.log'}: its dice_foreground is not finite" in capsys.readouterr().err
    assert len(pd.read_csv(results_of(copy) / "results.csv").query("metric == 'dice_foreground'")) == 3
    assert "missing: rotation 100 % fold 0 seed 0" in (results_of(copy) / "fig3.svg").read_text()
    report = (results_of(copy) / "report.html").read_text()
    assert "rotation/fold0/seed0/100: its dice_foreground is not finite" in report
