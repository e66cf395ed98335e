"""Scans of every format are predicted, and masks overlay them in SimpleITK, also in formats of its own."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK
from commands import exit_status
from trained_runs import Trained
from volume_files import AFFINE, FILES, write_volume

ENDINGS = {"a.nrrd": ".nrrd", "a.nhdr": ".nrrd", "a.mha": ".mha", "a.mhd": ".mha"}


def read(path: Path) -> SimpleITK.Image:
    if path.is_file():
        return SimpleITK.ReadImage(path)
    return SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)))


@pytest.fixture(scope="module")
def expected(trained: Trained, tmp_path_factory) -> tuple[np.ndarray, np.ndarray]:
    """A scan, and the probabilities of a class in it, both of NIfTI."""
    voxels = np.asarray(nib.load(trained.learned).dataobj).astype(np.int16) // 2 * 2
    folder = tmp_path_factory.mktemp("expected")
    write_volume(folder / "scan.nii", voxels)
    assert predict(trained, folder / "scan.nii", folder / "out") == 0
    return voxels, np.asarray(nib.load(folder / "out" / "scan_probability_1.nii.gz").dataobj)


def predict(trained: Trained, images: Path, out: Path) -> int:
    model = trained["segmentation"]
    return exit_status("predict", "--model", model, "--images", images, "--out", out, "--probabilities")


@pytest.mark.parametrize("name", FILES)
def test_a_scan_of_any_format(trained: Trained, tmp_path, name, expected) -> None:
    voxels, probabilities = expected
    scan = tmp_path / "scans" / "p1" / name
    write_volume(scan, voxels)
    for images, out in ((tmp_path / "scans", tmp_path / "of_folder"), (scan, tmp_path / "of_one")):
        assert predict(trained, images, out) == 0
    (row,) = pd.read_csv(tmp_path / "of_folder" / "predictions.csv").to_dict("records")
    assert row["mask"] == f"{row['case']}{ENDINGS.get(name, '.nii.gz')}"
    assert row["case"] == f"p1/{name.partition('.')[0]}"
    mask = tmp_path / "of_folder" / row["mask"]
    (other,) = tmp_path.glob(f"of_one/{mask.name}")
    assert np.array_equal(*(SimpleITK.GetArrayFromImage(read(each)) for each in (mask, other)))
    if name in ("a.hdr", "a.img"):  # Analyze does not say where it lies
        assert read(mask).GetSize() == voxels.shape
        return
    of_class = read(mask.with_name(mask.name.replace(".", "_probability_1.", 1)))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(of_class).transpose(), probabilities, atol=1e-5)
    if name in ("a.mgz", "a.mgh"):  # which SimpleITK cannot read
        np.testing.assert_allclose(nib.load(mask).affine, AFFINE, atol=1e-5)
        return
    for place in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(read(mask), place)() == pytest.approx(getattr(read(scan), place)(), abs=1e-5)


def test_of_two_series_in_a_folder_each_is_predicted_or_one_that_is_named(trained: Trained, tmp_path, expected) -> None:
    for uid in ("1.2.3.4", "1.2.3.5"):
        write_volume(tmp_path / "study", expected[0], uid=uid)
    assert predict(trained, tmp_path / "study", tmp_path / "both") == 0
    assert predict(trained, tmp_path / "study" / "1.2.3.5", tmp_path / "one") == 0
    masks = {name: sorted(path.name for path in (tmp_path / name).glob("*.[45].nii.gz")) for name in ("both", "one")}
    assert masks == {"both": ["1.2.3.4.nii.gz", "1.2.3.5.nii.gz"], "one": ["1.2.3.5.nii.gz"]}
