"""The fundus phantom is like a photograph of one, with lesions to match its grade."""

import numpy as np
import pytest

from sslmed.phantoms.fundus import draw_eye, sample_eye, sample_person
from sslmed.phantoms.lesions import NUMBERS

SIZE = (96, 72)


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
