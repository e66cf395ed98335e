"""Generates fundus photographs in the layout of APTOS 2019: https://kaggle.com/c/aptos2019-blindness-detection."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslmed.core.errors import UserError
from sslmed.core.files import atomic_path
from sslmed.phantoms.files import check_numbers, write_phantom

LEAST_SIDE = 32  # pixels
APTOS = np.array([1805, 370, 999, 193, 295])  # photographs of each grade in its train.csv
DISCORDANCE = 0.3  # fraction of the rarer of two neighbouring grades whose other eye has the other grade
MISGRADED = 0.1  # fraction of photographs that look like a neighbouring grade: graders disagree

Size = tuple[int, int]


class _Photo(NamedTuple):
    """Describes a photograph to generate: its file, its content, and the origin of its random numbers."""

    id: str
    folder: Literal["train_images", "test_images"]
    patient: int
    is_second_eye: bool
    grade: int

    @property
    def files(self) -> list[str]:
        return [f"{self.folder}/{self.id}.png"]


def draw_fundus_dataset(
    out: Path, *, cases: int, unlabelled: int, size: Size = (320, 240), seed: int = 0, jobs: int | None = None
) -> None:
    """Generate photographs of eyes with and without diabetic retinopathy, in the layout of APTOS 2019.

    Grades are as imbalanced as in APTOS. Every second patient has photographs of both eyes, with equal or neighbouring
    grades. A photograph depends only on `seed` and its number, not on the number of photographs.

    Args:
        out: Folder of the dataset; see `sslmed.phantoms.files.write_phantom`.
        cases: Number of graded photographs, in `train_images`, with `id_code,diagnosis,patient` in `train.csv`.
        unlabelled: Number of photographs of other patients of the same population, in `test_images` and `test.csv`.
        size: Width and height of each photograph, pixels.
        seed: Seed of the population.
        jobs: Number of worker processes, the usable cores by default; with 1, this process does the work.

    Raises:
        UserError: If an argument is out of range, or `out` has other content or cannot be written.
    """
    check_numbers(cases, unlabelled, seed)
    if len(size) != 2 or min(size) < LEAST_SIDE:
        raise UserError(f"a photograph's size is width and height of at least {LEAST_SIDE} pixels, got {tuple(size)}")
    parameters = {"description": "PHANTOM drawn by sslmed, not patients: photographs of the fundus", "version": 1}
    parameters |= {"kind": "fundus", "cases": cases, "unlabelled": unlabelled, "size": list(size), "seed": seed}
    graded = list(islice(_photos("train_images", seed), cases))
    others = list(islice(_photos("test_images", seed), unlabelled))
    rows = [f"{photo.id},{photo.grade},p{photo.patient:04}" for photo in graded]
    index = {
        "test.csv": _table("id_code", [photo.id for photo in others]),
        "train.csv": _table("id_code,diagnosis,patient", rows),
    }
    draw = partial(_draw_photo, out, size, seed)
    write_phantom(out, parameters, [*graded, *others], draw, index=index, jobs=jobs)


def _table(header: str, rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in [header, *rows])


def _photos(folder: Literal["train_images", "test_images"], seed: int) -> Iterator[_Photo]:
    """Yield photographs without end: both eyes of one patient, one of the next, and so on."""
    cumulated = np.cumsum(_grade_pairs())
    start = np.random.default_rng([seed, _stream(folder)]).uniform()
    golden = (5**0.5 - 1) / 2  # its multiples fill 0..1 evenly, so any number of patients has the same fractions
    prefix = "phantom" if folder == "train_images" else "phantom_unlabelled"
    number = patient = 0
    while True:
        pair = np.searchsorted(cumulated, (start + golden * patient) % 1, side="right")
        for eye, grade in enumerate(divmod(int(pair), len(APTOS))[: 2 - patient % 2]):
            yield _Photo(f"{prefix}_{number:04}", folder, patient, eye == 1, grade)
            number += 1
        patient += 1


def _grade_pairs() -> NDArray[np.float64]:
    """Return the fractions of the grades of two eyes, `(5, 5)`, symmetric; those of one eye are APTOS's."""
    shares = APTOS / APTOS.sum()
    neighbours = DISCORDANCE * np.diag(np.minimum(shares[1:], shares[:-1]), 1)
    pairs = neighbours + neighbours.T
    return pairs + np.diag(shares - pairs.sum(axis=0))


def _stream(folder: str) -> int:
    return ("train_images", "test_images").index(folder)


def _draw_photo(out: Path, size: Size, seed: int, photo: _Photo) -> None:
    """Generate one photograph in a worker."""
    from PIL import Image

    from sslmed.phantoms.fundus import draw_eye, sample_eye, sample_person

    of_patient = [seed, _stream(photo.folder), photo.patient]
    rng = np.random.default_rng(of_patient)
    person, first_is_left = sample_person(rng), rng.uniform() < 0.5
    rng = np.random.default_rng([*of_patient, 1 + photo.is_second_eye])
    looks = photo.grade
    if rng.uniform() < MISGRADED:
        looks = int(np.clip(looks + rng.choice([-1, 1]), 0, len(APTOS) - 1))
    eye = sample_eye(rng, person, looks, is_left=bool(first_is_left != photo.is_second_eye))
    image = Image.fromarray(draw_eye(eye, size, rng))
    with atomic_path(out / photo.files[0]) as temporary:
        image.save(temporary, format="PNG", compress_level=6)
