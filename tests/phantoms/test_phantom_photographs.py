"""Datasets of fundus phantoms are in the layout of APTOS, and graded as imbalanced."""

import csv
import json
from itertools import islice

import numpy as np
import pytest
from drawn import SIZES, draw
from PIL import Image

from sslmed.core.errors import UserError
from sslmed.phantoms.photographs import APTOS, _photos


def test_it_is_laid_out_as_aptos_is(datasets):
    dataset = datasets["fundus"]
    rows = list(csv.DictReader((dataset / "train.csv").open()))
    others = list(csv.DictReader((dataset / "test.csv").open()))
    assert [list(row) for row in (rows[0], others[0])] == [["id_code", "diagnosis", "patient"], ["id_code"]]
    for folder, ids in (("train_images", rows), ("test_images", others)):
        names = {f"{row['id_code']}.png" for row in ids}
        assert names == {path.name for path in (dataset / folder).iterdir()}
        for name in names:
            with Image.open(dataset / folder / name) as image:
                image.load()
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", SIZES["fundus"])
    assert {row["diagnosis"] for row in rows} <= set("01234")
    assert [row["patient"] for row in rows] == ["p0000", "p0000", "p0001"]
    parameters = json.loads((dataset / "phantom.json").read_text())
    assert (parameters["kind"], parameters["description"][:7]) == ("fundus", "PHANTOM")


def test_the_first_photographs_are_graded_alike_however_many_there_are(datasets, tmp_path):
    many = draw(tmp_path / "more", "fundus", cases=4)
    assert (many / "train.csv").read_text().startswith((datasets["fundus"] / "train.csv").read_text())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("folder", ["train_images", "test_images"])
def test_any_number_of_photographs_has_the_grades_of_aptos(seed, folder):
    grades = np.array([photo.grade for photo in islice(_photos(folder, seed), APTOS.sum())])
    counts = np.cumsum(np.eye(5)[grades], axis=0)
    quotas = np.outer(np.arange(1, len(grades) + 1), APTOS / APTOS.sum())
    assert abs(counts - quotas).max() < 6


def test_the_eyes_of_a_patient_have_the_same_or_neighbouring_grades():
    patients = {}
    for photo in islice(_photos("train_images", 0), 999):
        patients.setdefault(photo.patient, []).append(photo.grade)
    pairs = np.array([grades for grades in patients.values() if len(grades) == 2])
    assert len(patients) == 666
    assert len(pairs) == 333
    differences = abs(np.diff(pairs, axis=1))
    assert differences.max() == 1
    assert 0.05 < differences.mean() < 0.3
    assert abs(pairs.mean(axis=0) @ (1, -1)) < 0.05  # neither eye is the worse one


@pytest.mark.parametrize("size", [(96, 16), (96, 72, 3)])
def test_other_sizes_are_refused(size, tmp_path):
    with pytest.raises(UserError, match="width and height of at least 32 pixels, got"):
        draw(tmp_path / "new", "fundus", size=size)
