"""`--spacing auto`: the preset that it writes, and that the user may edit."""

from pathlib import Path

import pytest
import yaml
from tiny_runs import exit_status

HERE = Path(__file__).parent


def _reproduce(tmp_path: Path, figure: str, data: object, *options: object) -> int:
    places = [f"--{name}={tmp_path / name}" for name in ("runs", "out", "downloads")]
    return exit_status("reproduce", figure, "--data", data, *options, "--arms", "baseline", "--dry-run", *places)


@pytest.mark.parametrize(("gpu", "crop"), [(None, [80, 80, 16]), (80 * 2**30, [144, 112, 16])])
def test_it_has_the_median_spacing_and_crops_and_is_kept_when_edited(
    decathlon_dataset, tmp_path: Path, monkeypatch, capsys, gpu: int | None, crop: list[int]
) -> None:
    monkeypatch.setattr("sslmed.experiments.auto_preset.gpu_memory", lambda: gpu)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 64 * 2**30}))
    data = decathlon_dataset(labelled=10, unlabelled=0, shape=(142, 111, 8))
    assert _reproduce(tmp_path, "segmentation", data, "--spacing", "auto") == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "quick-auto"
    preset = yaml.safe_load((folder / "preset.yaml").read_text())
    assert preset["prepare"] == {"geometry": "spacing", "spacing": [0.8, 0.8, 2.5]}
    assert yaml.safe_load((folder / "run.yaml").read_text()) == {"data": {"init_args": {"crop_size": crop}}}
    assert yaml.safe_load((folder / "run-2d.yaml").read_text()) == {"data": {"init_args": {"crop_size": crop[:2]}}}
    assert f"crops of {crop[0]} x {crop[1]} x {crop[2]} voxels" in printed
    assert f"--preset {folder}" in printed
    assert "--geometry spacing" in printed

    (folder / "run.yaml").write_text("data: {init_args: {crop_size: [32, 32, 16]}}\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert _reproduce(tmp_path, "segmentation", data, "--spacing", "auto") == 0
    again = capsys.readouterr()
    assert f"{folder}: is used as it is, with 0.8 x 0.8 x 2.5 mm" in again.err
    assert _reproduce(tmp_path, "segmentation", data, "--preset", folder) == 0
    assert capsys.readouterr().out == again.out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_settings_of_the_preset_that_it_starts_from_are_kept(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0)
    assert _reproduce(tmp_path, "segmentation", data, "--preset", "sound", "--spacing", "auto") == 0
    folder = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy" / "sound-auto"
    run = yaml.safe_load((folder / "run.yaml").read_text())
    assert run["trainer"] == {"precision": "bf16-mixed"}
    assert run["data"]["init_args"]["crop_size"] == [64, 64, 64]  # four levels of halving, and four voxels left
    assert "quick is for demonstrations" not in capsys.readouterr().err


def test_another_encoder_has_crops_of_its_own(decathlon_dataset, tmp_path: Path) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0, shape=(12, 10, 8))
    for encoder in ([], ["--encoder", "residual"]):
        assert _reproduce(tmp_path, "segmentation", data, "--spacing", "auto", *encoder) == 0
    presets = tmp_path / "out" / "presets" / "segmentation" / "Task00_Toy"
    crops = [
        yaml.safe_load((folder / "quick-auto" / "run.yaml").read_text())["data"]["init_args"]["crop_size"]
        for folder in (presets, presets / "residual")
    ]
    assert max(crops[0]) < min(crops[1])  # two levels of halving, and five


def test_quick_says_that_it_is_for_demonstrations_except_with_them(decathlon_dataset, tmp_path: Path, capsys) -> None:
    data = decathlon_dataset(labelled=10, unlabelled=0)
    assert _reproduce(tmp_path, "segmentation", data) == 0
    assert "24³ voxels; try --spacing auto" in capsys.readouterr().err
    assert _reproduce(tmp_path, "fig3", "phantom") == 0
    assert "demonstrations" not in capsys.readouterr().err


def test_it_needs_volumes_that_are_there(aptos_dataset, tmp_path: Path, capsys) -> None:
    assert _reproduce(tmp_path, "fig4", aptos_dataset(), "--spacing", "auto") == 2
    assert "photographs have no spacing" in capsys.readouterr().err
    assert _reproduce(tmp_path, "fig3", "phantom", "--spacing", "auto") == 2
    assert "is not here yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
