"""`sslmed robustness`: every run of an experiment under the same artefacts, in its report."""

from pathlib import Path

import pandas as pd
import pytest
from commands import exit_status


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
def test_all_runs_of_an_experiment_are_scored_once_and_reported(tmp_path, capsys) -> None:
    places = [f"--{name}={tmp_path / name}" for name in ("runs", "out", "downloads")]
    preset = str(Path(__file__).parent / "tiny")
    arms = ["--arms", "baseline", "rotation", "--labels", "all"]
    assert exit_status(["reproduce", "fig3", "--preset", preset, *arms, *places]) == 0
    work, out = (tmp_path / place / "fig3" / "phantom-tiny" for place in ("runs", "out"))
    command = ["robustness", str(work), "--corrupt", "noise", "--out", str(tmp_path / "out")]
    assert exit_status(*command) == 0
    written = {path: path.read_bytes() for path in work.rglob("robustness.csv")}
    assert {path.relative_to(work).parts[0] for path in written} == {"baseline", "rotation"}
    assert {*pd.read_csv(out / "robustness.csv")["arm"]} == {"baseline", "rotation"}
    assert "Scores under artefacts" in (out / "report.html").read_text()
    capsys.readouterr()
    assert exit_status(*command) == 0
    assert "scoring" not in capsys.readouterr().err
    for path, content in written.items():
        path.unlink()
        assert exit_status(["test", "-c", str(path.with_name("config.yaml")), "--corrupt", "noise"]) == 0
        assert path.read_bytes() == content


def test_what_is_no_experiment_is_refused(tmp_path, capsys) -> None:
    assert exit_status(["robustness", str(tmp_path), "--corrupt", "noise"]) == 2
    assert f"{tmp_path}: has no plan.json" in capsys.readouterr().err
