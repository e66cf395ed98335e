"""NIfTI files; tests/preparation/test_nifti.py has more of them, for images and labels."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bad_inputs import PREPARE, STORE, Bad, write
from bad_inputs.start import save

IMAGE, LABEL = "Task/imagesTr/case_03.nii.gz", "Task/labelsTr/case_03.nii.gz"
SHAPE = (14, 12, 10)
DIM, PIXDIM, SFORM = 40, 76, 280  # byte offsets in the header


def edit(start: int, replacement: bytes, name: str = IMAGE) -> Callable[[Path], object]:
    """Overwrite bytes of a file within its gzip."""

    def make(folder: Path) -> None:
        content = bytearray(gzip.decompress((folder / name).read_bytes()))
        content[start : start + len(replacement)] = replacement
        (folder / name).write_bytes(gzip.compress(content))

    return make


def cut(folder: Path) -> None:
    """Cut a file in half."""
    (folder / IMAGE).write_bytes((folder / IMAGE).read_bytes()[:700])


def voxels(name: str, array: np.ndarray) -> Callable[[Path], object]:
    """Write a file with other voxels."""
    return lambda folder: save(folder / name, array)


def link(folder: Path) -> None:
    """Make an image a link to nowhere."""
    (folder / IMAGE).unlink()
    (folder / IMAGE).symlink_to("nowhere.nii.gz")


INPUTS = [
    Bad(name, PREPARE, (f"{path}: ", words), make=make, leaves=STORE)
    for name, path, words, make in [
        ("empty image", IMAGE, "is empty", write(IMAGE, b"")),
        ("text for an image", IMAGE, "is not a NIfTI file", write(IMAGE, "not an image")),
        ("truncated image", IMAGE, "is truncated", cut),
        ("image that promises more", IMAGE, "is truncated", edit(DIM + 2, np.int16([32767] * 3).tobytes())),
        ("NaN spacing", IMAGE, "spacing", edit(PIXDIM + 8, np.float32(np.nan).tobytes())),
        ("NaN affine", IMAGE, "affine", edit(SFORM, np.float32([np.nan] * 4).tobytes())),
        ("constant image", IMAGE, "constant", voxels(IMAGE, np.full(SHAPE, 7, np.int16))),
        ("image of NaN", IMAGE, "NaN", voxels(IMAGE, np.full(SHAPE, np.nan, np.float32))),
        ("one slice", IMAGE, "one slice", voxels(IMAGE, np.arange(168, dtype=np.int16).reshape(14, 12, 1))),
        ("label of another shape", LABEL, "its image", voxels(LABEL, np.ones((14, 12, 9), np.uint8))),
        (
            "label that is not declared",
            LABEL,
            "undeclared label values (7)",
            voxels(LABEL, np.full(SHAPE, 7, np.uint8)),
        ),
        ("label of halves", LABEL, "fractional label values (0.5)", voxels(LABEL, np.full(SHAPE, 0.5, np.float32))),
        ("label below 0", LABEL, "negative label values (-1)", voxels(LABEL, np.full(SHAPE, -1, np.int16))),
    ]
] + [Bad("link to nowhere", PREPARE, ("Task/dataset.json: training[3]", IMAGE), make=link, leaves=STORE)]
