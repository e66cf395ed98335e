"""Which runs of earlier commands count: those in an experiment's directory that are planned alike, and no copies."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from commands import TINY, reproduce
from grids import grid_of, plan

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.earlier import with_earlier
from sslmed.experiments.finished import is_done, stale_runs
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.runs import write_plan

THIRD = LabelAmount(fraction=1 / 3)


def _grid(*arms: str) -> Grid:
    return grid_of(*arms, labels=(THIRD,))


def _finish(grid: Grid, places: Places) -> set[str]:
    """Write the results of all runs of a grid, and return their names."""
    runs = plan(grid, places)
    for run in runs:
        folder = places.work / run.name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"labels": {"key": run.key}, "run_dir": str(folder)}))
        (folder / "results.json").write_text("{}")
    write_plan(places.work / "plan.json", runs)
    return {run.name for run in runs}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "work", tmp_path / "store")


def _names(grid: Grid, places: Places) -> set[str]:
    whole = with_earlier(grid, places, plan(grid, places), plan)
    assert not whole.other_settings
    return {run.name for run in whole.runs}


def test_a_command_for_another_arm_keeps_runs_on_a_third_of_the_labels_and_takes_no_copies(places: Places) -> None:
    names = _finish(_grid("baseline"), places)
    (name,) = names
    for copied in ("fold0_old", "fold0/seed0 copy", "fold0/seed0/new", f"{Path(*Path(name).parts[1:])}.old1"):
        original = places.work.joinpath(*Path(name).parts[: len(Path(copied).parts) + 1])
        shutil.copytree(original, places.work / "baseline" / copied)
    assert _names(_grid("null-1"), places) == names | {name.replace("baseline", "null-1")}


@pytest.mark.parametrize("balanced", [True, False])
def test_runs_on_an_earlier_pool_count_in_a_command_that_does_not_name_it(
    places: Places, tmp_path: Path, balanced: bool
) -> None:
    grid = replace(_grid("baseline", "rotation-external"), balanced_pools=balanced)
    names = _finish(grid, replace(places, pool=tmp_path / "pool"))
    assert _names(_grid("baseline"), places) == names


@pytest.mark.parametrize("content", ["", "labels: {key: [", "labels:"])
def test_a_run_with_a_damaged_configuration_is_stale(places: Places, content: str) -> None:
    _finish(_grid("baseline"), places)
    (run,) = plan(_grid("baseline"), places)
    assert is_done(places.work, run)
    (places.work / run.name / "config.yaml").write_text(content)
    assert stale_runs(places.work, [run]) == {"settings have changed": [run]}


def test_results_without_the_configuration_that_they_are_of_do_not_count(places: Places) -> None:
    (name,) = _finish(_grid("baseline"), places)
    grid = replace(_grid("baseline"), seeds=(1,))
    (places.work / name / "config.yaml").unlink()
    whole = with_earlier(grid, places, plan(grid, places), plan)
    assert (list(whole.other_settings), [run.seed for run in whole.runs]) == ([name], [1])
    (run,) = plan(_grid("baseline"), places)
    assert stale_runs(places.work, [run]) == {"config.yaml is absent": [run]}


def test_a_damaged_plan_says_to_remove_it(tmp_path: Path, capsys) -> None:
    file = tmp_path / "runs" / "fig3" / "phantom-tiny" / "plan.json"
    file.parent.mkdir(parents=True)
    file.write_text("[{")
    command = [tmp_path, "fig3", "--preset", TINY, "--arms", "baseline", "--dry-run"]
    assert reproduce(*command) == 2
    assert "remove it, and `sslmed reproduce` writes it again" in capsys.readouterr().err
    file.unlink()
    assert reproduce(*command) == 0
