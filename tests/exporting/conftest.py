"""Trained runs, one of each kind. Nothing but their directories and the scans is left: stores are removed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_runs import exit_status, fit

from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import PrepareSettings, prepare


@dataclass
class Trained:
    """Directories of runs, moved away from where they were trained, and images."""

    segmentation: Path
    slices: Path
    crops: Path
    rotation: Path
    classification: Path
    regression: Path
    scan: Path
    photo: Path

    def __getitem__(self, name: str) -> Path:
        return getattr(self, name)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    there, here = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("here")
    KINDS["pancreas"](there / "volumes", cases=7, unlabelled=1, size=(24, 20, 16), jobs=1)
    KINDS["fundus"](there / "photos", cases=10, unlabelled=1, size=(40, 36), jobs=1)
    _write_table(there / "values")
    cube, spaced = PrepareSettings(size=16), PrepareSettings(geometry="spacing", spacing=(20, 20, 10))
    prepare(there / "volumes", there / "cubes", cube, jobs=1)
    prepare(there / "volumes", there / "spaced", spaced, jobs=1)
    prepare(there / "photos", there / "pixels", PrepareSettings(size=24, photo="fundus"), jobs=1)
    prepare(there / "values", there / "valued", PrepareSettings(size=12), jobs=1)
    runs = there / "runs"
    fit("segmentation", there / "cubes", runs / "segmentation")
    fit("segmentation", there / "cubes", runs / "slices", "--data.spatial_dims", "2")
    fit("segmentation", there / "spaced", runs / "crops", "--data.crop_size", "[8,8,8]")
    fit("rotation", there / "cubes", runs / "rotation")
    fit("classification", there / "pixels", runs / "classification")
    fit("regression", there / "valued", runs / "regression")
    for kind in ("segmentation", "slices", "crops", "classification", "regression"):
        assert exit_status("predict", "-c", runs / kind / "config.yaml") == 0
    scans = sorted((there / "volumes" / "imagesTs").iterdir()), sorted((there / "photos" / "test_images").iterdir())
    for path in (scans[0][0], scans[1][0], *(there / "values").glob("*.nii.gz")):
        shutil.copy(path, here)
    shutil.move(runs, here / "runs")
    shutil.rmtree(there)
    names = ("segmentation", "slices", "crops", "rotation", "classification", "regression")
    images = (here / path[0].name for path in scans)
    return Trained(*(here / "runs" / name for name in names), *images)


def _write_table(folder: Path) -> None:
    """Volumes whose value is the size of a ball."""
    folder.mkdir()
    rows = ["image,value"]
    where = np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 3, indexing="ij"))
    for number in range(8):
        voxels = np.where((where**2).sum(0) < 0.5 + 0.05 * number, 100, 0).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, np.diag([2.0, 2, 2, 1])), folder / f"ball_{number}.nii.gz")
        rows.append(f"ball_{number}.nii.gz,{3.0 * number + 1}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
