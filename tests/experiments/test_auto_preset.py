"""`--spacing auto`: the preset that it writes, and that the user may edit."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from commands import reproduce
from grids import grid_of, plan

from sslmed.core.errors import UserError
from sslmed.core.files import read_json
from sslmed.experiments.configs import known_names
from sslmed.experiments.places import Places
from sslmed.experiments.preset import preset_folder, read_preset
from sslmed.experiments.runs import Run, write_plan


def _reproduce(tmp_path: Path, figure: str, data: object, *options: object) -> int:
    return reproduce(tmp_path, figure, "--data", data, *options, "--arms", "baseline")


def _dry_run(tmp_path: Path, figure: str, data: object, *options: object) -> int:
    return _reproduce(tmp_path, figure, data, *options, "--dry-run")


def _stop(*_: object, **__: object) -> None:
    raise UserError("stopped before anything is prepared")


@pytest.fixture
def write(tmp_path: Path, monkeypatch, capsys):
    """Return a function that does the command until it has written the preset, and returns what it printed."""
    monkeypatch.setattr("sslmed.experiments.inputs.prepare", _stop)

    def run(data: object, *options: object) -> str:
        assert _reproduce(tmp_path, "segmentation", data, "--spacing", "auto", *options) == 2
        printed = capsys.readouterr()
        assert "stopped before" in printed.err
        return printed.out

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("gpu", "crop"), [(None, [80, 80, 16]), (80 * 2**30, [144, 112, 16])])
def test_it_has_the_median_spacing_and_crops(
    decathlon_dataset, tmp_path: Path, monkeypatch, write, gpu: int | None, crop: list[int]
) -> None:
    monkeypatch.setattr("sslmed.experiments.auto_preset.gpu_memory", lambda: gpu)
    monkeypatch.setattr("sslmed.experiments.auto_preset.total_memory", lambda: 64 * 2**30)
    data = decathlon_dataset(labelled=10, unlabelled=0, shape=(142, 111, 8))
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "quick-auto"
    printed = write(data)
    preset = yaml.safe_load((folder / "preset.yaml").read_text())
    assert preset["prepare"] == {"geometry": "spacing", "spacing": [0.8, 0.8, 2.5]}
    assert yaml.safe_load((folder / "run.yaml").read_text()) == {"data": {"init_args": {"crop_size": crop}}}
    assert yaml.safe_load((folder / "run-2d.yaml").read_text()) == {"data": {"init_args": {"crop_size": crop[:2]}}}
    assert f"crops of {crop[0]} x {crop[1]} x {crop[2]} voxels" in printed
    assert f"--preset {folder}" in printed


@pytest.mark.slow
def test_a_dry_run_does_not_write_it_and_it_is_kept_when_edited(
    decathlon_dataset, tmp_path: Path, capsys, write
) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0)
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "quick-auto"
    assert _dry_run(tmp_path, "segmentation", data, "--spacing", "auto") == 0
    planned = capsys.readouterr().out
    assert f"{folder}: will hold these settings" in planned
    assert not [*tmp_path.rglob("quick-auto")]
    assert not (tmp_path / "out").exists()

    write(data)
    (folder / "run.yaml").write_text("data: {init_args: {crop_size: [32, 32, 16]}}\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert _dry_run(tmp_path, "segmentation", data, "--spacing", "auto") == 0
    again = capsys.readouterr()
    assert f"{folder}: is used as it is, with 0.8 x 0.8 x 2.5 mm" in again.err
    assert "--geometry spacing" in again.out
    assert _dry_run(tmp_path, "segmentation", data, "--preset", folder) == 0
    assert capsys.readouterr().out == again.out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_other_data_of_the_same_name_do_not_share_it(decathlon_dataset, tmp_path: Path, capsys, write) -> None:
    write(decathlon_dataset(labelled=10, unlabelled=0))
    larger = decathlon_dataset("elsewhere/Task00_Toy", labelled=10, unlabelled=0, shape=(40, 10, 8))
    for options in ([], ["--dry-run"]):
        assert _reproduce(tmp_path, "segmentation", larger, "--spacing", "auto", *options) == 2
        assert "shape ([12, 10, 8] there, [40, 10, 8] here); remove it" in capsys.readouterr().err
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "quick-auto"
    assert _dry_run(tmp_path, "segmentation", larger, "--preset", folder) == 0


def test_other_presets_of_the_same_name_do_not_share_it(decathlon_dataset, tmp_path: Path, capsys, write) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0)
    quick = preset_folder("segmentation", "quick")
    mine, other = (shutil.copytree(quick, tmp_path / name / "mine") for name in "ab")
    write(data, "--preset", mine)
    (other / "finetune.yaml").write_text("data: {init_args: {batch_size: 1}}\n")
    assert _reproduce(tmp_path, "segmentation", data, "--spacing", "auto", "--preset", other) == 2
    assert f"mine-auto: was made with the preset in {mine}, and {other} has the same" in capsys.readouterr().err


@pytest.mark.slow
def test_settings_of_the_preset_that_it_starts_from_are_kept(decathlon_dataset, tmp_path: Path, write) -> None:
    write(decathlon_dataset(labelled=10, unlabelled=0), "--preset", "sound")
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "sound-auto"
    (run,) = plan(grid_of("baseline", figure="segmentation", preset=folder), Places(tmp_path, tmp_path))
    assert run.setting("trainer.precision", None) == "bf16-mixed"
    assert run.setting("data.crop_size", None) == [64, 64, 64]  # four levels of halving, and four voxels left


@pytest.mark.slow
def test_crops_of_the_preset_that_it_starts_from_are_replaced(decathlon_dataset, tmp_path: Path, write) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0)
    preset = shutil.copytree(preset_folder("segmentation", "quick"), tmp_path / "mine")
    (preset / "run.yaml").write_text("data: {crop_size: [8, 8, 8], num_workers: 0}\n")  # without init_args
    write(data, "--preset", preset)
    assert _dry_run(tmp_path, "segmentation", data, "--spacing", "auto", "--preset", preset) == 0


@pytest.mark.slow
def test_it_takes_from_a_preset_of_another_figure_what_is_for_the_figures_own_encoder(
    decathlon_dataset, tmp_path: Path, write
) -> None:
    data, preset = decathlon_dataset(labelled=10, unlabelled=0), ["--preset", "fig4/quick"]  # of a DenseNet
    write(data, *preset)
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "quick-auto"
    assert (folder / "finetune.yaml").is_file()
    assert _dry_run(tmp_path, "segmentation", data, "--spacing", "auto", *preset) == 0


@pytest.mark.slow
def test_another_encoder_has_crops_and_an_estimate_of_its_own(decathlon_dataset, tmp_path: Path, write) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0, shape=(12, 10, 8))
    for encoder in ([], ["--encoder", "resnet"]):
        write(data, *encoder)
    presets = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy"
    crops = [
        yaml.safe_load((folder / "quick-auto" / "run.yaml").read_text())["data"]["init_args"]["crop_size"]
        for folder in (presets, presets / "resnet")
    ]
    assert max(crops[0]) < min(crops[1])  # two levels of halving, and five
    disk = [read_preset(folder / "quick-auto").estimate.disk_mib for folder in (presets, presets / "resnet")]
    assert disk[0] < 10 < 900 < disk[1]  # two checkpoints of 40 million weights, with moments


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    [
        None,  # the preset's small U-Net
        *(pytest.param(each, marks=pytest.mark.long) for each in sorted({*known_names("encoder")} - {"residual-l"})),
    ],
)
def test_jobs_take_at_most_the_memory_that_is_said_and_not_much_less(
    decathlon_dataset, tmp_path: Path, monkeypatch, encoder: str | None
) -> None:
    monkeypatch.setattr("sslmed.experiments.filling.run_workflow", _do_jobs)
    data = decathlon_dataset(labelled=10, unlabelled=0, shape=(48, 48, 48))
    preset = shutil.copytree(preset_folder("segmentation", "quick"), tmp_path / "mine")
    settings = (preset / "preset.yaml").read_text()
    (preset / "preset.yaml").write_text(settings.replace("precision: auto", "precision: 32-true"))  # takes most
    for stage in ("pretrain", "finetune"):  # memory does not grow after the second update
        (preset / f"{stage}.yaml").write_text("data: {init_args: {updates: 2, validations: 1}}\n")
    options = ["--spacing", "auto", "--preset", preset, "--jobs", 1, *(["--encoder", encoder] if encoder else [])]
    grid = ["--arms", "dino", "--folds", 0, "--labels", "all"]  # DINO takes most
    assert reproduce(tmp_path, "segmentation", "--data", data, *options, *grid) == 0
    (folder,) = tmp_path.rglob("mine-auto")
    results = [read_json(path) for path in (tmp_path / "runs" / "segmentation").rglob("results.json")]
    taken = max(result["process_memory_bytes"] for result in results) / 2**30
    assert len(results) == 2
    assert taken < read_preset(folder).estimate.memory_gib < 3 * taken


def _do_jobs(work: Path, runs: Sequence[Run], **_: object) -> None:
    """Do each job as Snakemake does. The shell is between, as the system counts the memory of what starts a process."""
    write_plan(work / "workflow.json", runs)
    for job in dict.fromkeys(run.job for run in runs):
        command = shlex.join([sys.executable, "-m", "sslmed.experiments.job", "workflow.json", job, "0", "1"])
        subprocess.run(["/bin/sh", "-c", f"{command} || exit 1"], cwd=work, check=True)


@pytest.mark.slow
def test_quick_says_that_it_is_for_demonstrations_except_with_them(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0)
    assert _dry_run(tmp_path, "segmentation", data) == 0
    assert "24³ voxels; try --spacing auto" in capsys.readouterr().err
    assert _dry_run(tmp_path, "segmentation", data, "--preset", "sound", "--spacing", "auto") == 0
    assert "quick is for demonstrations" not in capsys.readouterr().err
    assert _dry_run(tmp_path, "fig3", "phantom") == 0
    assert "demonstrations" not in capsys.readouterr().err


def test_it_needs_volumes_that_are_there_and_sizes_that_are_not_fixed(aptos_dataset, tmp_path: Path, capsys) -> None:
    assert _dry_run(tmp_path, "fig4", aptos_dataset(), "--spacing", "auto") == 2
    assert "photographs have no spacing" in capsys.readouterr().err
    assert _dry_run(tmp_path, "fig3", "phantom", "--spacing", "auto") == 2
    assert "is not here yet" in capsys.readouterr().err
    assert _dry_run(tmp_path, "fig3", "phantom", "--preset", "paper", "--spacing", "auto") == 2
    assert "--preset paper has the published sizes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
