"""Scores under artefacts in tables and report: the same statistics, paired under the same artefact."""

import numpy as np
import pandas as pd
import pytest
from synthetic_experiment import write_experiment

from sslmed.experiments.runs import read_plan
from sslmed.reporting.html.page import report_experiment

PER_STRENGTH = {"baseline": 0.1, "rotation": 0.05, "rpl": 0.02}


def corrupt_runs(work, artefacts=("motion", "noise"), arms=PER_STRENGTH) -> None:
    """Write what `sslmed robustness` writes: worse scores, by as much as the arm loses per strength."""
    for run in read_plan(work / "plan.json"):
        path = work / run.name
        if run.labels is None or run.arm not in arms:
            continue
        cases = pd.read_csv(path / "cases.csv", dtype={"case": str})
        changed = [
            cases.assign(
                dice_foreground=cases["dice_foreground"] - arms[run.arm] * strength,
                artefact=artefact,
                strength=strength,
            )
            for artefact in artefacts
            for strength in (1, 2, 3)
        ]
        pd.concat(changed).to_csv(path / "robustness.csv", index=False)


@pytest.mark.slow
@pytest.mark.parametrize("folds", [2, 5])
def test_arms_are_compared_under_the_same_artefact(folds, tmp_path) -> None:
    work = write_experiment(tmp_path, arms=("baseline", "rotation", "rpl"), folds=folds, seeds=1, examples=False)
    out = tmp_path / "out" / "fig3" / work.name
    report_experiment(work, tmp_path / "out")
    assert not (out / "robustness.csv").exists()
    assert "Scores under artefacts" not in (out / "report.html").read_text()
    corrupt_runs(work)
    page = report_experiment(work, tmp_path / "out").read_text()
    table = pd.read_csv(out / "robustness.csv")
    assert len(table) == 2 * 3 * 3 * 3  # artefacts, strengths, arms, amounts of labels
    assert [*table["artefact"].unique()] == ["motion", "noise"]

    def values(arm, fraction):
        paths = [work / arm / f"fold{fold}" / "seed0" / fraction / "cases.csv" for fold in range(folds)]
        return np.array([pd.read_csv(path)["dice_foreground"].mean() for path in paths])

    cell = table.query("artefact == 'noise' and strength == 2 and arm == 'rotation' and label_fraction == 1").iloc[0]
    clean, baseline = values("rotation", "100"), values("baseline", "100")
    assert cell["mean"] == pytest.approx(clean.mean() - 0.1)
    if folds == 5:
        assert cell["diff"] == pytest.approx((clean - baseline).mean() + 0.1)
        assert cell["diff_low"] < cell["diff"] < cell["diff_high"]
    else:
        assert np.isnan(cell["diff"])
    section = page.partition('id="robustness">')[2].partition("</section>")[0]
    for text in (f"{clean.mean():.3f}", f"{clean.mean() - 0.1:.3f}", "motion", "noise", "severe", "Nothing was chosen"):
        assert text in section
    assert ("difference to the baseline" in section) == (folds == 5)
    assert "p, Holm" not in section


@pytest.mark.slow
def test_runs_without_such_scores_and_metrics_of_the_original_grid_have_no_rows(tmp_path) -> None:
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), folds=5, examples=False)
    corrupt_runs(work, arms={"baseline": 0.1})
    report_experiment(work, tmp_path)
    table = pd.read_csv(tmp_path / "fig3" / work.name / "robustness.csv")
    assert [*table["arm"].unique()] == ["baseline"]
    for path in work.rglob("robustness.csv"):
        pd.read_csv(path).drop(columns="dice_foreground").to_csv(path, index=False)
    report_experiment(work, tmp_path)  # removes the table of before
    assert not (tmp_path / "fig3" / work.name / "robustness.csv").exists()
