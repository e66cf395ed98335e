"""`sslmed robustness`: every run of an experiment under the same artefacts, in its report."""

import pandas as pd
import pytest
from commands import TINY, exit_status, reproduce


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
def test_all_runs_of_an_experiment_are_scored_once_and_reported(tmp_path, capsys) -> None:
    arms = ["--arms", "baseline", "rotation", "--labels", "all"]
    assert reproduce(tmp_path, "fig3", "--preset", TINY, *arms) == 0
    work, out = (tmp_path / place / "fig3" / "phantom-tiny" for place in ("runs", "out"))
    command = ["robustness", work, "--corrupt", "noise", "--out", tmp_path / "out"]
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
        assert exit_status("test", "-c", path.with_name("config.yaml"), "--corrupt", "noise") == 0
        assert path.read_bytes() == content


def test_what_is_no_experiment_is_refused(tmp_path, capsys) -> None:
    assert exit_status("robustness", tmp_path, "--corrupt", "noise") == 2
    assert f"{tmp_path}: has no plan.json" in capsys.readouterr().err
