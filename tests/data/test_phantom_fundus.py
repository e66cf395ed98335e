"""Fundus phantoms: deterministic, in the layout of APTOS, graded as imbalanced, and with lesions to match."""

import csv
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslmed.data.phantom_dots import FINEST, RATIO, View, dot, line
from sslmed.data.phantom_fundus import draw_eye, sample_eye, sample_person
from sslmed.data.phantom_fundus_dataset import APTOS, _photos, draw_fundus_dataset
from sslmed.data.phantom_lesions import NUMBERS
from sslmed.errors import UserError

SIZE = (96, 72)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.name != ".lock" and path.is_file()
    }


def draw(out: Path, cases: int = 5, unlabelled: int = 2, **changes) -> None:
    draw_fundus_dataset(out, **{"cases": cases, "unlabelled": unlabelled, "size": SIZE, "jobs": 1} | changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom")
    draw(root)
    return root


@pytest.fixture(scope="module")
def population():
    """Eyes of each grade, with what is drawn of them, and of the same eyes without lesions."""
    eyes = {grade: [] for grade in range(5)}
    for grade, found in eyes.items():
        for index in range(10):
            rng = np.random.default_rng([1, grade, index])
            eye = sample_eye(rng, sample_person(rng), grade, is_left=index % 2 == 0)
            healthy = without_lesions(eye)
            found.append((eye, *(draw_eye(it, SIZE, np.random.default_rng(0)).astype(int) for it in (eye, healthy))))
    return eyes


def without_lesions(eye):
    return type(eye)(**vars(eye) | {"lesions": {kind: [] for kind in eye.lesions}})


def test_it_is_laid_out_as_aptos_is(dataset):
    rows = list(csv.DictReader((dataset / "train.csv").open()))
    others = list(csv.DictReader((dataset / "test.csv").open()))
    assert [list(row) for row in (rows[0], others[0])] == [["id_code", "diagnosis", "patient"], ["id_code"]]
    for folder, ids in (("train_images", rows), ("test_images", others)):
        names = {f"{row['id_code']}.png" for row in ids}
        assert names == {path.name for path in (dataset / folder).iterdir()}
        for name in names:
            with Image.open(dataset / folder / name) as image:
                image.load()
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", SIZE)
    assert {row["diagnosis"] for row in rows} <= set("01234")
    assert [row["patient"] for row in rows] == ["p0000", "p0000", "p0001", "p0002", "p0002"]
    parameters = json.loads((dataset / "phantom.json").read_text())
    assert (parameters["kind"], parameters["description"][:7]) == ("fundus", "PHANTOM")


def test_photographs_depend_on_seed_and_number_alone(dataset, tmp_path):
    draw(tmp_path / "more", cases=7, unlabelled=1, jobs=2)
    draw(tmp_path / "other", cases=2, unlabelled=0, seed=1)
    some, more, other = (
        {name: data for name, data in contents(root).items() if name.endswith(".png")}
        for root in (dataset, tmp_path / "more", tmp_path / "other")
    )
    shared = some.keys() & more.keys()
    assert len(shared) == 5 + 1
    assert all(some[name] == more[name] for name in shared)
    assert len(set(more.values())) == len(more)
    assert not set(other.values()) & set(some.values())
    few, many = ((root / "train.csv").read_text() for root in (dataset, tmp_path / "more"))
    assert many.startswith(few)


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


def test_lesions_become_more_with_the_grade(population):
    numbers = {grade: [sum(map(len, eye.lesions.values())) for eye, *_ in eyes] for grade, eyes in population.items()}
    lesions = {
        grade: [(abs(drawn - healthy).max(axis=2) > 12).mean() for _, drawn, healthy in eyes]
        for grade, eyes in population.items()
    }
    assert set(numbers[0]) == {0}
    assert set(lesions[0]) == {0}
    for one, other in ((0, 1), (1, 2), (2, 3), (2, 4)):
        assert np.mean(numbers[one]) < np.mean(numbers[other])
        assert np.mean(lesions[one]) < 0.8 * np.mean(lesions[other])
    assert min(numbers[1]) > 0
    assert max(numbers[1]) > min(numbers[2])  # neighbours overlap


def test_kinds_of_lesions_define_the_grade(population):
    kinds = {
        grade: [{kind for kind, found in eye.lesions.items() if found} for eye, *_ in eyes]
        for grade, eyes in population.items()
    }
    assert all(found == {"microaneurysm"} for found in kinds[1])
    for grade, eyes in kinds.items():
        certain = {kind for kind, means in NUMBERS.items() if means[grade] >= 1}
        possible = {kind for kind, means in NUMBERS.items() if means[grade] > 0}
        assert all(certain <= found <= possible for found in eyes)
    assert all({"blot haemorrhage", "cotton-wool spot"} <= found for found in kinds[3])
    assert all("new vessels" in found for found in kinds[4])
    assert not any("new vessels" in found for grade in range(4) for found in kinds[grade])


def test_it_looks_like_a_fundus(population):
    """Bounds are wide: they are about the dataset being what its description says, not about these numbers."""
    cut_off = []
    for _, _, image in population[0]:
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners == 0).all()  # the camera's aperture is round
        retina = image.sum(axis=2) > 60
        assert 0.3 < retina.mean() < 0.9
        cut_off.append(retina[0].any())
        red, green, blue = image[retina].mean(axis=0)
        assert red > green > blue
    assert 0 < sum(cut_off) < len(cut_off)
    for is_left in (False, True):
        mean = np.mean([image for eye, _, image in population[0] if eye.is_left == is_left], axis=(0, 3))
        if is_left:
            mean = mean[:, ::-1]
        middle, side = mean.shape[0] // 2, mean.shape[1] // 2
        row, column = np.unravel_index(mean.argmax(), mean.shape)
        assert abs(row - middle) < 8
        assert 15 < column - side < 30  # the disc, at the nose's side
        fovea, beside = (
            mean[middle - 2 : middle + 3, columns].mean() for columns in (side, slice(side - 20, side - 12))
        )
        assert fovea < 0.9 * beside


def test_a_killed_run_is_resumed_to_the_same_files(dataset, tmp_path):
    draw(tmp_path)
    whole = contents(tmp_path)
    assert whole == contents(dataset)
    kept = tmp_path / "train_images/phantom_0000.png"
    before = kept.stat().st_mtime_ns
    for name in ("train.csv", "test.csv", "train_images/phantom_0001.png", "test_images/phantom_unlabelled_0001.png"):
        (tmp_path / name).unlink()
    (tmp_path / "train_images/phantom_0002.png.99.partial").write_bytes(b"cut off")
    draw(tmp_path)
    assert contents(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_a_finished_dataset_is_left_alone(dataset):
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    draw(dataset)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


@pytest.mark.parametrize("changes", [{"cases": 6}, {"unlabelled": 0}, {"size": (96, 80)}, {"seed": 1}])
def test_other_parameters_are_refused(dataset, changes):
    name = next(iter(changes))
    with pytest.raises(UserError, match=f"another phantom .*{name} .* there"):
        draw(dataset, **changes)


def test_foreign_folders_and_senseless_numbers_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a phantom"):
        draw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="at least one case"):
        draw(tmp_path / "new", cases=0, unlabelled=0)
    for size in ((96, 16), (96, 72, 3)):
        with pytest.raises(UserError, match="width and height of at least 32 pixels, got"):
            draw(tmp_path / "new", size=size)


@pytest.mark.parametrize("mirrored", [False, True])
def test_dots_are_rendered_as_gaussians(mirrored):
    view = View((60, 40), (25.0, 18.0), 20.0, mirrored)
    x, y = view.coordinates()
    assert x[18, 25] == y[18, 25] == 0
    assert x[18, 45] == (-1 if mirrored else 1)
    assert y[38, 25] == 1
    dots = dot([0.3, -0.2], [-0.1, 0.25], FINEST / 20 * RATIO ** np.array([5, 4]), [1, 0.5])
    expected = sum(h * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2)) for cx, cy, s, h in dots)
    assert abs(view.render(dots) - expected).max() < 0.03
    assert view.render(dots).sum() == pytest.approx(expected.sum(), rel=0.02)
    assert not view.render(dots[:0]).any()
    ridge = view.render(line(np.stack([np.arange(-0.8, 0.8, 0.01), np.zeros(160)], axis=1), 0.1, 0.7, step=0.01))
    assert ridge[18, 20:30] == pytest.approx(0.7, rel=0.2)
