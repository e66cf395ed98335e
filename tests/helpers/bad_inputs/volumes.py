"""Volumes of other formats than NIfTI; tests/preparation/test_formats.py and test_dicom.py have more of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from volume_files import AFFINE, UID, write_series, write_volume

from bad_inputs import STORE, Bad

IMAGE = np.random.default_rng(0).integers(-75, 100, (9, 8, 7)).astype(np.int16) * 2
IMAGE[:2] = -1000
MASK = (IMAGE > 0).astype(np.uint8)
LOOSE = "prepare loose --store new --jobs 1 --size 8"
MINE = "prepare new.csv --store new --jobs 1 --size 8"
PLAN = "reproduce segmentation --dry-run --data Task --preset preset --runs new/runs --out new/out --arms rotation-external"


def series(change: Callable[[list[Path]], object] = lambda files: None, **tags: str) -> Callable[[Path], object]:
    """Write a good series and another one."""

    def make(folder: Path) -> None:
        write_series(folder / "loose" / "good", IMAGE + 2)
        change(write_series(folder / "loose" / "bad", IMAGE, **tags))

    return make


def table(image: str, mask: str = "", *, affine: np.ndarray = AFFINE) -> Callable[[Path], object]:
    """Write a table of a good scan and of this one."""

    def make(folder: Path) -> None:
        for name in ("good.nii", image):
            write_volume(folder / name, IMAGE)
        write_volume(folder / "good_mask.nii", MASK)
        if mask:
            write_volume(folder / mask, MASK, affine)
        (folder / "new.csv").write_text(f"image,mask\ngood.nii,good_mask.nii\n{image},{mask}\n")

    return make


def then(first: Callable[[Path], object], second: Callable[[Path], object]) -> Callable[[Path], object]:
    """Do both."""
    return lambda folder: (first(folder), second(folder))


def cut(files: list[Path]) -> None:
    """Cut a file in half."""
    files[2].write_bytes(files[2].read_bytes()[:-60])


def two_series(folder: Path) -> None:
    """Add a series to the folder of another."""
    write_series(folder / "scan", IMAGE + 2, uid=f"{UID}.5")


def write_itk(name: str, voxels: np.ndarray, *, is_vector: bool) -> Callable[[Path], object]:
    """Write an image of several channels or times."""
    return lambda folder: sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=is_vector), folder / name)


MOVED = AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 9])
TIMES = np.stack([IMAGE.transpose()] * 3)
COLOURS = np.stack([MASK.transpose()] * 3, axis=-1)

INPUTS = [
    Bad("truncated DICOM", LOOSE, ("loose/bad", "truncated or damaged"), make=series(cut), leaves=STORE),
    Bad(
        "missing slice",
        LOOSE,
        ("loose/bad: is not a volume", "missing or unequally spaced"),
        make=series(lambda files: files[3].unlink()),
        leaves=STORE,
    ),
    Bad(
        "localiser",
        LOOSE,
        ("loose/bad: is not a volume: a localiser",),
        make=series(t0008_0008="ORIGINAL\\PRIMARY\\LOCALIZER"),
        leaves=STORE,
    ),
    Bad(
        "several series in a folder",
        MINE,
        ("scan: holds 2 series", "FOLDER/UID", f"{UID} (CT 9 x 8 x 7)", f"{UID}.5 (CT 9 x 8 x 7)"),
        make=then(table("scan"), two_series),
        leaves=STORE,
    ),
    Bad(
        "series that is not there",
        MINE,
        (f"{UID}.6: ", "has no such series"),
        make=then(table("scan"), lambda folder: (folder / "new.csv").write_text(f"image,mask\ngood.nii,good_mask.nii\nscan/{UID}.6,\n")),
        leaves=STORE,
    ),
    Bad(
        "NRRD without its data",
        MINE,
        ("scan.nhdr: has its data in scan.raw, which is not beside it",),
        make=then(table("scan.nhdr"), lambda folder: (folder / "scan.raw").unlink()),
        leaves=STORE,
    ),
    Bad(
        "mask that lies elsewhere than its series",
        MINE,
        ("moved.nrrd: has another affine than its image",),
        make=table("scan", "moved.nrrd", affine=MOVED),
        leaves=STORE,
    ),
    Bad(
        "MetaImage of a time series",
        MINE,
        ("scan.mha: has 3 channels, but the dataset has 1",),
        make=then(table("scan.mha"), write_itk("scan.mha", TIMES, is_vector=False)),
        leaves=STORE,
    ),
    Bad(
        "NRRD in colour",
        MINE,
        ("scan.nrrd: holds RGB voxels",),
        make=then(table("scan.nrrd"), write_itk("scan.nrrd", COLOURS, is_vector=True)),
        leaves=STORE,
    ),
    Bad(
        "volumes and photographs in a folder",
        "prepare mixed --store new",
        ("mixed: holds 1 volumes", "and 1 photographs", "give a folder of one kind"),
        make=lambda folder: (
            write_volume(folder / "mixed/a.nrrd", IMAGE),
            sitk.WriteImage(sitk.GetImageFromArray(MASK[0]), folder / "mixed/a.png"),
        ),
    ),
    Bad("pool given twice", f"{PLAN} --pool Task --pool Task", ("Task: is given twice",)),
    Bad("one pool of two that is not there", f"{PLAN} --pool Task Tsk", ("Tsk: no such folder", "did you mean Task")),
]  # fmt: skip
