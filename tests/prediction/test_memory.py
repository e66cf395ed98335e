"""A scan of 512×512×600 voxels, at its own spacing and with 3 classes, needs less than 4 GB beside the model."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from trained_runs import Trained

MEASURED = """
import resource, sys
from sslmed.cli import main
from sslmed.downstream import Segmentation
Segmentation.outputs = lambda task, images: images.expand(-1, 3, *images.shape[2:]).softmax(1)
try:
    main(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
"""The command, with a network that needs neither time nor memory."""

WINDOW = [96, 96, 96]


def write_scan(path: Path, shape: tuple[int, int, int]) -> Path:
    """Write a body in air, with noise; the first axis runs to the left, as in most files."""
    slices = np.random.default_rng(0).integers(-30, 30, (*shape[:2], 1), dtype=np.int16)
    body = np.full(shape, -1000, np.int16) + slices
    inner = tuple(slice(side // 8, -side // 8) for side in shape)
    body[inner] += 1040
    nib.save(nib.Nifti1Image(body, np.diag([-0.8, 0.8, 1.0, 1.0])), path)
    return path


def peak(run: Path, scan: Path, out: Path, *options: str) -> int:
    """Return the largest memory of the command, in bytes."""
    given = ["predict", "--model", run, "--images", scan, "--out", out, "--device", "cpu", *options]
    command = [sys.executable, "-c", MEASURED, *map(str, given)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(said.splitlines()[-1].removeprefix("peak "))


@pytest.mark.slow
@pytest.mark.long
def test_a_large_scan_needs_less_than_4_gb(trained: Trained, tmp_path: Path, capsys) -> None:
    run = trained["crops"]
    config, recipe = run / "config.yaml", run / "preparation.json"
    settings, prepared = yaml.safe_load(config.read_text()), json.loads(recipe.read_text())
    settings["data"]["init_args"]["crop_size"] = WINDOW
    prepared["settings"]["spacing"] = [0.8, 0.8, 1.0]
    config.write_text(yaml.safe_dump(settings))
    recipe.write_text(json.dumps(prepared))
    small = peak(run, write_scan(tmp_path / "small.nii", (96, 96, 96)), tmp_path / "masks")
    large = peak(run, write_scan(tmp_path / "large.nii", (512, 512, 600)), tmp_path / "large", "--probabilities")
    with capsys.disabled():
        print(f"\nbeside the model: {(large - small) / 2**30:.2f} GiB")
    assert large - small < 4e9
    assert nib.load(tmp_path / "large" / "large.nii.gz").shape == (512, 512, 600)
