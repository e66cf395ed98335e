"""Images, tables and folders of data, a few of each kind; tests/preparation has many more."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from generated_folders import save
from PIL import Image
from volume_files import AFFINE, UID, scan, write_series, write_volume

from bad_inputs import PREPARE, STORE, Bad, write

JSON, IMAGE, LABEL = "Task/dataset.json", "Task/imagesTr/case_03.nii.gz", "Task/labelsTr/case_03.nii.gz"
TABLE, LINES = "mine/table.csv", "images/case_00.png,a\nimages/case_01.png,b\n"
EYE = "eyes/train_images/eye_3.png"
OF_TABLE = "prepare mine --task classification --store new --jobs 1 --size 12"
OF_EYES = "prepare eyes --store new --jobs 1 --size 12 --photo fundus"
OF_SCANS = "prepare loose --store new --jobs 1 --size 8"
OF_MASKS = "prepare new.csv --store new --jobs 1 --size 8"
PLAN = "reproduce segmentation --dry-run --data Task --preset preset --runs new/runs --out new/out --arms rotation-external"


def cut(name: str) -> Callable[[Path], object]:
    """Cut a file in half."""
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
    )


def link(folder: Path) -> None:
    """Make an image a link to nowhere."""
    (folder / IMAGE).unlink()
    (folder / IMAGE).symlink_to("nowhere.nii.gz")


def grade(folder: Path) -> None:
    """Write a grade in words."""
    path = folder / "eyes" / "train.csv"
    path.write_text(path.read_text().replace("eye_3,3", "eye_3,severe"))


def cut_series(folder: Path) -> None:
    """Write a good series and one with a file that breaks off."""
    write_series(folder / "loose" / "good", scan() + 2)
    file = write_series(folder / "loose" / "bad", scan())[2]
    file.write_bytes(file.read_bytes()[:-60])


def table(mask_affine: np.ndarray = AFFINE, more: str | None = None) -> Callable[[Path], object]:
    """Write a table of a good scan and of a series, in whose folder there may be another one."""

    def make(folder: Path) -> None:
        for image, mask, affine in (("good.nii", "good_mask.nii", AFFINE), ("scan", "moved.nrrd", mask_affine)):
            write_volume(folder / image, scan())
            write_volume(folder / mask, (scan() > 0).astype(np.uint8), affine)
        if more is not None:
            write_series(folder / "scan", scan() + 2, uid=more)
        (folder / "new.csv").write_text("image,mask\ngood.nii,good_mask.nii\nscan,moved.nrrd\n")

    return make


MOVED = AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 9])

INPUTS = [
    Bad("half a dataset.json", PREPARE, (f"{JSON}: is not valid JSON",), make=cut(JSON)),
    Bad("link to nowhere", PREPARE, (f"{JSON}: training[3]", IMAGE), make=link, leaves=STORE),
    Bad("truncated image", PREPARE, (f"{IMAGE}: is truncated",), make=cut(IMAGE), leaves=STORE),
    Bad("label of another shape", PREPARE, (f"{LABEL}: has shape", "its image"), make=lambda folder: save(folder / LABEL, np.ones((14, 12, 9), np.uint8)), leaves=STORE),
    Bad("empty table", OF_TABLE, (f"{TABLE}: has no column image",), make=write(TABLE, "")),
    Bad("table of zeros", OF_TABLE, (f"{TABLE}: ",), make=write(TABLE, b"\0" * 64)),
    Bad("table in UTF-16", OF_TABLE, (f"{TABLE}: is not UTF-8",), make=write(TABLE, f"image,class\n{LINES}".encode("utf-16"))),
    Bad("open quote", OF_TABLE, (f"{TABLE}: is not valid CSV",), make=write(TABLE, f'image,class\n"{LINES}')),
    Bad("header alone", OF_TABLE, (f"{TABLE}: lists no image",), make=write(TABLE, "image,class\n")),
    Bad("table that is a folder", "prepare folder.csv --store new", ("folder.csv: holds no image",), make=lambda folder: (folder / "folder.csv").mkdir()),
    Bad("truncated photograph", OF_EYES, (f"{EYE}: is truncated",), make=cut(EYE), leaves=STORE),
    Bad("grade in words", OF_EYES, ("eyes/train.csv: line 5", "severe"), make=grade, leaves=STORE),
    Bad("mask of another size", OF_TABLE.replace("classification", "segmentation"), ("masks/case_00.png", "its image"), make=lambda folder: Image.new("L", (7, 7)).save(folder / "mine/masks/case_00.png"), leaves=STORE),
    Bad("truncated DICOM", OF_SCANS, ("loose/bad", "truncated or damaged"), make=cut_series, leaves=STORE),
    Bad("several series in a folder", OF_MASKS, ("scan: holds 2 series", "FOLDER/UID", f"{UID} (CT 9 x 8 x 7)", f"{UID}.5 (CT 9 x 8 x 7)"), make=table(more=f"{UID}.5"), leaves=STORE),
    Bad("mask that lies elsewhere than its series", OF_MASKS, ("moved.nrrd: has another affine than its image",), make=table(MOVED), leaves=STORE),
    Bad("one pool of two that is not there", f"{PLAN} --pool Task Tsk", ("Tsk: no such folder", "did you mean Task")),
]  # fmt: skip
