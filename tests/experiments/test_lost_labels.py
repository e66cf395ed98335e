"""A lesion that is smaller than a voxel of the prepared grid: every command that scores it says so."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from commands import TINY, reproduce

WARNING = "3 of 6 labelled cases lose all voxels of a class on the prepared grid"


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_reproduce_its_dry_run_and_the_report_warn_of_labels_that_the_grid_loses(
    decathlon_dataset, tmp_path: Path, capsys
) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=1, shape=(48, 20, 16))
    for number, path in enumerate(sorted((data / "labelsTr").iterdir())):
        label = np.zeros((48, 20, 16), np.uint8)
        label[24 : 25 + 4 * (number % 2), 9:12, 6:9] = 1
        nib.save(nib.Nifti1Image(label, nib.load(path).affine), path)
    command = [tmp_path, "fig3", "--data", data, "--preset", TINY, "--arms", "baseline", "--fractions", "1"]
    assert reproduce(*command) == 0
    assert WARNING in capsys.readouterr().err
    assert reproduce(*command, "--dry-run") == 0
    assert f"warning: {WARNING}" in capsys.readouterr().out
    assert WARNING in (tmp_path / "out" / "fig3" / "Task00_Toy-tiny" / "report.html").read_text()
