"""The commands of the tutorial in docs/your-own-data.md, on folders of scans in four layouts."""

import re
import shlex
import shutil
from pathlib import Path

import generated_folders
import nibabel as nib
import numpy as np
import pytest
from commands import exit_status, in_this_process
from volume_files import AFFINE, write_series

from sslmed import load

PAGE = Path(__file__).parents[2] / "docs" / "your-own-data.md"
PRESETS = {"segmentation": "tiny", "classification": "tiny-fundus"}
pytestmark = [pytest.mark.slow, pytest.mark.long]


def dicom(root: Path, patients: int = 8, labelled: int = 6) -> Path:
    """One series of each patient, with a NIfTI mask of some."""
    for number in range(patients):
        image, organ = generated_folders.scan(number)
        folder = root / f"p{number:02}"
        write_series(folder / "ct", image // 2 * 2, uid=f"1.2.3.{number}", t0010_0020=f"p{number}")
        if number < labelled:
            generated_folders.save(folder / "ct_seg.nii.gz", organ, AFFINE)
    return root


def loose_with_csv(root: Path) -> Path:
    """Scans without masks, and a CSV file with their classes."""
    generated_folders.nested(root, cases=12, labelled=0)
    names = sorted(path.relative_to(root) for path in root.rglob("ct.nii.gz"))
    rows = [f"{name},{('ill', 'well')[number % 2]}" for number, name in enumerate(names)]
    (root / "diagnoses.csv").write_text("\n".join(["file,diagnosis", *rows]) + "\n")
    return root


LAYOUTS = {
    "dicom": (dicom, "segmentation"),
    "bids": (generated_folders.bids, "segmentation"),
    "nnunet": (generated_folders.nnunet, "segmentation"),
    "csv": (loose_with_csv, "classification"),
}
SMALL = "--preset tiny --arms baseline rotation --fractions 1 --folds 0"
FINAL = "--preset tiny --arms rotation"


def commands(kind: str) -> list[str]:
    """The five commands of the page, as small as it gets."""
    section = PAGE.read_text().split("## From a folder of scans to masks")[1]
    lines = re.search(r"```bash\n(.*?)```", section, re.DOTALL)[1].splitlines()
    small = []
    for line in lines:
        line = line.replace("quick", "tiny").replace("segmentation", kind)
        if kind != "segmentation":
            line = line.replace("--spacing auto", "").replace("-auto", "")
        if "reproduce" in line:
            line = line.replace("--data", f"{FINAL if '--final' in line else SMALL} --data")
        small.append(line)
    return small


@pytest.mark.parametrize("layout", LAYOUTS)
def test_five_commands_from_any_folder_to_a_model(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if layout != "dicom":  # one layout suffices for what workers and Snakemake's jobs do
        in_this_process(monkeypatch)
    build, kind = LAYOUTS[layout]
    build(Path("SCANS"))
    shutil.copytree(Path(__file__).parent / PRESETS[kind], "tiny")
    new = Path("NEW/a.nii.gz")
    if layout == "nnunet":  # channels of a scan are put together by a table
        generated_folders.nnunet(Path("other"), labelled=1, unlabelled=0)
        assert exit_status("check", "other", "--table", "NEW/table.csv") == 0
    else:
        generated_folders.save(new, generated_folders.scan(20, ct=layout != "bids")[0])
    for line in commands(kind):
        assert exit_status(*shlex.split(line.replace("/ARM/", "/rotation/"), comments=True)[1:]) == 0, line
    assert "the final model" in capsys.readouterr().out
    model = load("my-model")
    assert len(Path("masks/predictions.csv").read_text().splitlines()) == 2
    if layout in ("dicom", "bids"):
        mask, scan = nib.load("masks/a.nii.gz"), nib.load(new)
        np.testing.assert_array_equal(mask.affine, scan.affine)
        assert mask.shape == scan.shape == np.asarray(model.predict(new)).shape
