"""Photographs; tests/preparation/test_photo.py and test_fundus.py have more of them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from bad_inputs import STORE, Bad, write

EYE = "eyes/train_images/eye_3.png"
PREPARE = "prepare eyes --store new --jobs 1 --size 12 --photo fundus"
TABLE = "prepare mine --task segmentation --store new --jobs 1 --size 12"


def png(array: np.ndarray) -> bytes:
    """Encode a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def cut(folder: Path) -> None:
    """Cut a file in half."""
    (folder / EYE).write_bytes((folder / EYE).read_bytes()[:300])


def grade(folder: Path) -> None:
    """Write a grade in words."""
    path = folder / "eyes" / "train.csv"
    path.write_text(path.read_text().replace("eye_3,3", "eye_3,severe"))


INPUTS = [
    Bad("empty photograph", PREPARE, (EYE,), make=write(EYE, b""), leaves=STORE),
    Bad("text for a photograph", PREPARE, (EYE,), make=write(EYE, "no image"), leaves=STORE),
    Bad("truncated photograph", PREPARE, (EYE,), make=cut, leaves=STORE),
    Bad("black photograph", PREPARE, (EYE, "constant"), make=write(EYE, png(np.zeros((40, 40, 3), np.uint8))), leaves=STORE),
    Bad("photograph that is not there", PREPARE, ("eyes/train.csv", "eye_3"), make=lambda folder: (folder / EYE).unlink(), leaves=STORE),
    Bad("grade in words", PREPARE, ("eyes/train.csv: line 5", "severe"), make=grade, leaves=STORE),
    Bad("mask of another size", TABLE, ("masks/case_00.png", "its image"), make=write("mine/masks/case_00.png", png(np.ones((7, 7), np.uint8))), leaves=STORE),
    Bad("mask in colours", TABLE, ("masks/case_00.png", "mode RGB"), make=write("mine/masks/case_00.png", png(np.ones((18, 20, 3), np.uint8))), leaves=STORE),
]  # fmt: skip
