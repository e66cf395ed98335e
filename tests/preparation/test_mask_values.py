"""Masks that have 1 in some files and 255 in others are refused: they would be two classes."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from commands import exit_status

from sslmed.preparation.mask_values import mixed_values


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([[0, 1], [0, 255], [0], [0, 1]], "0 and 1 in 2 masks (a, d), 0 and 255 in 1 mask (b)"),
        ([[0, 1], [0, 1]], None),
        ([[0, 255], [0, 255]], None),
        ([[0, 1, 255], [0, 255], [0, 1]], None),  # both are in one
        ([[0, 1], [0, 255], [0, 2]], None),
        ([[0, 1], [0, 2]], None),
        ([], None),
    ],
)
def test_one_and_255_that_are_never_together_are_named(values: list[list[int]], found: str | None) -> None:
    said = mixed_values(dict(zip("abcd", values, strict=False)))
    assert said == (found and f"values are {found}: 1 and 255 would be two classes; write the same value in all masks")


def test_check_says_it_and_nothing_is_trained(tmp_path: Path, capsys) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in range(8):
        image = np.random.default_rng(number).normal(100, 20, (12, 12, 8)).astype(np.float32)
        mask = (image > 120).astype(np.uint8) * (255 if number > 5 else 1)
        for kind, voxels in (("scan", image), ("mask", mask)):
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), scans / f"p{number}_{kind}.nii.gz")
    table = tmp_path / "table.csv"
    assert exit_status("check", scans, "--table", table) == 0
    assert "0 and 255 in 2 masks (p6_scan.nii.gz, p7_scan.nii.gz)" in " ".join(capsys.readouterr().out.split())
    prepare = ["prepare", table, "--store", tmp_path / "store", "--size", 12, "--jobs", 1]
    assert exit_status(*prepare) == 2
    assert "0 and 255 in 2 masks" in capsys.readouterr().err
    assert not (tmp_path / "store" / "store.json").exists()
    shutil.copy(scans / "p0_mask.nii.gz", scans / "p6_mask.nii.gz")
    shutil.copy(scans / "p0_mask.nii.gz", scans / "p7_mask.nii.gz")
    assert exit_status(*prepare) == 0
