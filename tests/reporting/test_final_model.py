"""What `reproduce --final` says of a final model: scores of the comparison that it follows, and no others."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic_runs import write_runs

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.reproduce import Outcome
from sslmed.experiments.runs import Run
from sslmed.reporting import final_model
from sslmed.reporting.final_model import conclude

ALL = LabelAmount(fraction=1.0)


def _finished(work: Path, arm: str, warned: list[str] | None = None) -> list[Run]:
    """Write the results of a final model and, unless it is the baseline, of its pretraining."""
    final = Run(arm, 0, 0, ALL, f"{arm}/final/seed0/100", "job", None, (), "key")
    planned = [final] if arm == "baseline" else [replace(final, labels=None, name=f"{arm}/final/pretrain"), final]
    for run in planned:
        (work / run.name).mkdir(parents=True)
        record = {"validation": [], "val_loss": 2.0, "chance_loss": 2.0, "warnings": warned or []}
        (work / run.name / "results.json").write_text(json.dumps(record))
    return planned


def _outcome(work: Path, planned: list[Run], metric: str, compared: list[Path] = ()) -> Outcome:
    whole = [replace(planned[-1], name=str(path.relative_to(work))) for path in compared]
    return Outcome(work, planned, whole, work / "out", [metric], "disabled")


def test_a_final_model_promises_what_the_runs_of_its_settings_found_whatever_tables_say(tmp_path, capsys) -> None:
    compared = write_runs(tmp_path, arms=("baseline", "rotation"), folds=5)
    planned = _finished(tmp_path, "rotation")
    (tmp_path / "out").mkdir()
    old = {"metric": "dice_foreground", "arm": ["rotation"], "mean": 0.99, "label_fraction": 1.0, "n_runs": 5}
    pd.DataFrame(old).to_csv(tmp_path / "out" / "summary.csv", index=False)  # of settings that the preset had before

    assert conclude(_outcome(tmp_path, planned, "dice_foreground", compared)) == 0
    scores = {
        arm: [json.loads(path.read_text())["metrics"]["dice_foreground"] for path in sorted(tmp_path.glob(place))]
        for arm in ("baseline", "rotation")
        for place in [f"{arm}/fold*/seed0/100/results.json"]
    }
    mean, gain = fmean(scores["rotation"]), fmean(scores["rotation"]) - fmean(scores["baseline"])
    printed = capsys.readouterr().out
    assert f"with 40 labels found dice_foreground {mean:.3f} (" in printed
    assert f"difference to training from scratch: {gain:+.3f} (" in printed
    rows = json.loads((tmp_path / "rotation/final/seed0/100/expected.json").read_text())
    (row,) = [row for row in rows if row["metric"] == "dice_foreground"]
    assert (row["n_runs"], row["n_cases"], row["mean"]) == (5, 40, pytest.approx(mean))

    assert conclude(_outcome(tmp_path, planned, "dice_foreground")) == 0
    said = capsys.readouterr()
    assert "has no finished run of rotation with these settings and data" in said.err
    assert "found" not in said.out
    assert not (tmp_path / "rotation/final/seed0/100/expected.json").exists()


def _summarised(patch: pytest.MonkeyPatch, **row: object) -> None:
    tables = SimpleNamespace(summary=pd.DataFrame([{"label_fraction": 1.0, "n_labels": 40, "n_cases": 50} | row]))
    patch.setattr(final_model, "collect", lambda *_: tables)


@pytest.mark.parametrize(("high", "runs"), [(1.0, "5 runs"), (math.inf, "1 run")])
def test_an_interval_without_an_end_is_left_out(high: float, runs: str, tmp_path: Path, capsys, monkeypatch) -> None:
    none = dict.fromkeys(("diff", "diff_low", "diff_high"))
    score = {"metric": "auroc", "arm": "baseline", "mean": 0.75, "ci_low": 0.5, "ci_high": high} | none
    _summarised(monkeypatch, **score, n_runs=int(runs[0]))
    assert conclude(_outcome(tmp_path, _finished(tmp_path, "baseline"), "auroc")) == 0
    ends = "0.500 to 1.000; " if high == 1 else ""
    assert f"found auroc 0.750 ({ends}{runs})" in capsys.readouterr().out


@pytest.mark.parametrize("warned", [[], ["the task was not learned: 2 is not below 2"]])
@pytest.mark.parametrize(("arm", "runs"), [("rotation", 5), ("rotation", 2), ("baseline", 5)])
def test_a_final_model_says_whether_its_pretraining_learned_and_helped(
    arm, runs, warned, tmp_path, capsys, monkeypatch
) -> None:
    planned = _finished(tmp_path, arm, warned)
    known = (0.125, -0.25, 0.375) if arm == "rotation" and runs == 5 else (None, None, None)
    found = dict(zip(("diff", "diff_low", "diff_high"), known, strict=True))
    _summarised(monkeypatch, metric="qwk", arm=arm, mean=0.75, ci_low=0.5, ci_high=1.0, **found, n_runs=runs)
    assert conclude(_outcome(tmp_path, planned, "qwk")) == 0
    said = capsys.readouterr()
    assert said.err == "".join(f"in its pretraining, {each}\n" for each in warned if arm == "rotation")
    assert ("difference to training from scratch: +0.125 (-0.250 to +0.375)\n" in said.out) == (known[0] is not None)
    assert ("whether its pretraining helps is not known" in said.out) == (arm == "rotation" and runs == 2)
    assert json.loads((tmp_path / planned[-1].name / "expected.json").read_text())[0]["diff_low"] == known[1]
