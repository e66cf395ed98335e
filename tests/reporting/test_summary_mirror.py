"""The summary run and the dashboard of an experiment, against a server on loopback."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from commands import exit_status
from fake_wandb import KEY, FakeWandb, fake_wandb
from synthetic_experiment import paths_of, write_experiment

from sslmed.core.errors import UserError
from sslmed.reporting.tables import Tables, collect
from sslmed.reporting.wandb.summary import log_summary

ARMS = ("baseline", "rotation", "cpc")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWandb]:
    with fake_wandb(tmp_path / "home", monkeypatch) as server:
        yield server


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write_experiment(tmp_path, arms=ARMS, examples=False)


@pytest.fixture
def tables(work: Path) -> Tables:
    return collect(paths_of(work), "dice_foreground")


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    matplotlib.image.imsave(tmp_path / "fig3.png", np.zeros((8, 8, 3)))
    return tmp_path / "fig3.png"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_the_same_experiment_again_overwrites_its_one_summary_run(
    work: Path, tables: Tables, figure: Path, server: FakeWandb, mode: str
) -> None:
    for _ in range(2):
        logged = {name: getattr(tables, name) for name in ("summary", "tests", "efficiency")}
        log_summary(work, mode, tables=logged, figure=figure)
        for offline in (work / "wandb").glob("offline-run-*"):
            subprocess.run([sys.executable, "-m", "wandb", "sync", offline], cwd=work, check=True, capture_output=True)
    (run,) = server.runs.values()
    assert (run.upserted["groupName"], run.upserted["jobType"]) == ("fig3-phantom-quick", "summary")
    curves, last = run.history[:-1], run.history[-1]
    assert [row["label_fraction"] for row in curves] == [0.05, 0.25, 1.0]
    cells = tables.summary[tables.summary["metric"] == "dice_foreground"].set_index(["arm", "label_fraction"])
    for row in curves:
        for arm in ARMS:
            expected = cells.loc[(arm, row["label_fraction"]), ["mean", "ci_low", "ci_high"]].tolist()
            assert [row[f"dice_foreground/{arm}{end}"] for end in ("", " low", " high")] == pytest.approx(expected)
    assert {last["figure"]["path"], last["tables/summary"]["path"]} <= run.files
    assert last["tables/summary"]["nrows"] == len(tables.summary)


def test_one_line_says_that_no_summary_can_be_mirrored(
    work: Path, tables: Tables, figure: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("sslmed.training.wandb.session._open", fail)
    log_summary(work, "offline", tables={"summary": tables.summary}, figure=figure)
    assert caplog.messages == ["Weights & Biases: could not mirror this run (OSError: no space left)"]


@pytest.mark.slow
def test_the_dashboard_shows_the_experiment_and_is_brought_up_to_date(work: Path, server: FakeWandb) -> None:
    from sslmed.reporting.wandb.dashboard import make_dashboard

    for _ in range(2):
        assert "/team/sslmed/reports/" in make_dashboard(work)
    first, second = server.views
    assert (first["id"], second["id"]) == (None, "view1")
    assert (first["entityName"], first["projectName"]) == ("team", "sslmed")
    grids = [block for block in json.loads(first["spec"])["blocks"] if block["type"] == "panel-grid"]
    for grid in grids:
        (runset,) = grid["metadata"]["runSets"]
        assert "fig3-phantom-quick" in json.dumps(runset["filters"])
    panels = [panel for grid in grids for panel in grid["metadata"]["panelBankSectionConfig"]["panels"]]
    shown = {name for panel in panels for name in panel["config"].get("metrics", panel["config"].get("mediaKeys", []))}
    assert {"figure", "puzzles", "segmentation", "val/loss", "val/dice_foreground", "dice_foreground/cpc"} <= shown


@pytest.mark.slow  # it waits for W&B to give up
def test_without_network_key_or_experiment_the_dashboard_says_what_to_do(
    work: Path, tmp_path: Path, server: FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sslmed.reporting.wandb.dashboard import make_dashboard

    with pytest.raises(UserError, match=r"has no plan\.json"):
        make_dashboard(tmp_path)
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match="no API key"):
        make_dashboard(work)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    server.down = True
    with pytest.raises(UserError, match="Failed to authenticate") as error:
        make_dashboard(work)
    assert KEY not in str(error.value)


def test_online_without_a_key_nothing_is_drawn_or_trained(
    tmp_path: Path, server: FakeWandb, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.chdir(tmp_path)
    assert exit_status("reproduce", "fig3", "--wandb", "online") == 2
    assert "wandb login" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
