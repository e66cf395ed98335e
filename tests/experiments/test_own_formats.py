"""A figure from DICOM series and loose images: what was given is what is trained on, and patients stay unknown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import TINY, exit_status
from volume_files import DATES, PATIENT, write_series, write_volume

EXTERNAL = "rotation-external"


def scan(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A ball in fat, in air: even Hounsfield units, and the ball's mask."""
    where = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in (12, 11, 10)), indexing="ij"))
    radius = (where**2).sum(0)
    noise = np.random.default_rng(number).integers(-10, 10, radius.shape)
    voxels = np.select([radius < 0.3, radius < 1], [50, -50], -500) + noise
    return (2 * voxels).astype(np.int16), (radius < 0.3).astype(np.uint8)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labelled DICOM series in a table, other scans in folders, and the options of a figure of them."""
    monkeypatch.chdir(tmp_path)
    rows = ["image,mask"]
    for number in range(6):
        voxels, mask = scan(number)
        write_series(Path(f"mine/p{number}"), voxels)
        write_volume(Path(f"mine/masks/p{number}.nrrd"), mask)
        rows.append(f"p{number},masks/p{number}.nrrd")
    Path("mine/table.csv").write_text("\n".join(rows))
    for number in range(6, 8):
        write_series(Path(f"more/p{number}"), scan(number)[0])
    for number in range(8, 14):
        folder, name = ("one", "ct.mha") if number < 10 else ("two", "ct.nii.gz")
        write_volume(Path(f"{folder}/p{number}/{name}"), scan(number)[0])
    options = "reproduce segmentation --data mine --data more --pool one two --fractions 1 --runs runs --out out"
    return [*options.split(), "--preset", str(TINY), "--arms", "baseline", "rotation", EXTERNAL]


@pytest.mark.slow
def test_the_plan_names_all_sources_and_balanced_pools_are_another_run(given, capsys) -> None:
    assert exit_status(*given, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "data: mine, more: 6 labelled, 2 unlabelled cases" in shown
    assert "external pool: one, two: pretraining sees" in shown
    assert exit_status(*given[:-3], EXTERNAL, "--dry-run", "--balanced-pools") == 0
    shown = capsys.readouterr().out
    assert "--data.balanced true" in shown
    assert f"prepare {Path.cwd()}/one {Path.cwd()}/two --store" in shown


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
def test_a_figure_of_dicom_series_and_several_pools_says_nothing_about_patients(given, capfd) -> None:
    assert exit_status(*given, "--balanced-pools") == 0
    work = Path("runs/segmentation/mine+more-tiny")
    records = {arm: json.loads((work / arm / "fold0/pretrain/data.json").read_text()) for arm in ("rotation", EXTERNAL)}
    sources = {arm: {case.split("%2F")[0] for case in record["training"]} for arm, record in records.items()}
    assert sources == {"rotation": {"mine", "more"}, EXTERNAL: {"one", "two"}}
    results = pd.read_csv("out/segmentation/mine+more-tiny/results.csv")
    assert set(results["arm"]) == {"baseline", "rotation", EXTERNAL}
    assert results["value"].between(0, 1)[results["metric"].str.startswith("dice")].all()
    said = "".join(capfd.readouterr())
    written = [path for folder in ("runs", "out") for path in Path(folder).rglob("*") if path.is_file()]
    for value in (*PATIENT.values(), *DATES.values()):
        assert value not in said
        assert [path for path in written if value.encode() in path.read_bytes()] == []
