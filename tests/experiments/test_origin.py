"""Files of the user's own that have the same name: results of two experiments are never in one place."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import TINY, reproduce
from grids import grid_of

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.configs import config_root
from sslmed.experiments.origin import files_of, keep_origin, refuse_namesakes
from sslmed.experiments.preset import read_preset
from sslmed.experiments.runs import Run, write_plan
from sslmed.preparation.prepare import prepare


def _files(folder: Path) -> dict[str, str]:
    """Name a preset, an encoder, a figure and an arm below a folder, all called `mine`."""
    preset = folder / "mine"
    if not folder.exists():
        shutil.copytree(TINY, preset)
        for kind, file in (("encoder", "encoder/unet"), ("figure", "experiments/fig3"), ("arm", "pretext/rotation")):
            (folder / kind).mkdir()
            shutil.copy(config_root() / f"{file}.yaml", folder / kind / "mine.yaml")
    grid = grid_of("baseline", str(folder / "arm" / "mine.yaml"), preset=preset)
    return files_of(replace(grid, encoder=folder / "encoder" / "mine.yaml"), str(folder / "figure" / "mine.yaml"))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("preset", "mine/run.yaml"),
        ("encoder", "encoder/mine.yaml"),
        ("figure", "figure/mine.yaml"),
        ("arm mine", "arm/mine.yaml"),
    ],
)
def test_another_file_of_the_same_name_is_refused(tmp_path: Path, name: str, changed: str) -> None:
    work, a, b = (tmp_path / each for each in ("work", "a", "b"))
    keep_origin(work, _files(a))
    refuse_namesakes(work, _files(b))  # a copy is the same
    (b / changed).write_text("data: {init_args: {batch_size: 1}}\n")
    with pytest.raises(UserError, match=rf"made with the {name} in {a}/\S+, and {b}/\S+ has the same name"):
        refuse_namesakes(work, _files(b))
    keep_origin(tmp_path / "other", _files(b))
    shutil.move(b, tmp_path / "moved")
    refuse_namesakes(tmp_path / "other", _files(a))  # it may have been moved, and edited


def test_ours_of_another_installation_are_the_same_and_code_beside_a_yaml_counts(tmp_path: Path) -> None:
    work, a, b = (tmp_path / each for each in ("work", "a", "b"))
    files = _files(a)
    assert files["arm rotation"] == "pretext/rotation.yaml"
    keep_origin(work, files)
    for folder in (a, b):
        same = _files(folder)
        (folder / "arm" / "mine.yaml").write_text("model: {class_path: mine.Task}\n")
        (folder / "arm" / "mine.py").write_text(f"# the one in {folder}\n")
    with pytest.raises(UserError, match="the arm mine in"):
        refuse_namesakes(work, same)


def test_the_command_refuses_it_before_anything_runs(tmp_path: Path, capsys) -> None:
    _, there = _files(tmp_path / "a"), _files(tmp_path / "b")
    (tmp_path / "b/mine/run.yaml").write_text("data: {init_args: {batch_size: 1}}\n")
    keep_origin(tmp_path / "runs" / "fig3" / "phantom-mine", {"preset": there["preset"]})
    for options in ([], ["--dry-run"]):
        assert reproduce(tmp_path, "fig3", "--preset", tmp_path / "a/mine", *options) == 2
        assert "has the same name and other settings: rename" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_data_of_another_place_with_the_same_name_are_refused_and_moved_data_are_not(
    decathlon_dataset, tmp_path: Path, capsys
) -> None:
    settings, data = read_preset(TINY).prepare, decathlon_dataset("a/study", labelled=6)
    store = tmp_path / "runs" / "stores" / f"study-{settings.key('a/study map')}"
    prepare(data, store, settings, jobs=1)

    def status(data: Path) -> int:
        capsys.readouterr()
        return reproduce(tmp_path, "fig3", "--data", data, "--preset", TINY, "--arms", "baseline", "--dry-run")

    moved = shutil.copytree(data, tmp_path / "b" / "study", copy_function=shutil.copyfile)
    assert status(moved) == 0
    shutil.copy(moved / "imagesTr" / "case_01.nii.gz", moved / "imagesTr" / "case_00.nii.gz")
    assert status(moved) == 2
    named = f"{moved}: has the name of {data}, which runs were made with, and other cases (case_00): rename it"
    assert named in capsys.readouterr().err
    content = json.loads((moved / "dataset.json").read_text())
    (moved / "dataset.json").write_text(json.dumps(content | {"name": "another"}))
    assert status(moved) == 0  # it has another store
    run = Run("baseline", 0, 0, LabelAmount(1.0), "run", "run", None, ("--data.store", str(store)), key="")
    write_plan(tmp_path / "runs" / "fig3" / "study-tiny" / "plan.json", [run])
    assert status(moved) == 2  # and would take the place of these runs
    assert named in capsys.readouterr().err
    assert status(data) == 0
