"""Samples lesions of diabetic retinopathy; kinds and numbers follow the ICDR grade.

Source: Wilkinson et al. 2003, https://doi.org/10.1016/S0161-6420(03)00475-5. Lesions are larger than natural, so that
they survive a resize to 64 pixels a side: microaneurysms are about four times as wide, all others two to three times.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from sslmed.phantoms.dots import Dots, dot, join, line

# These values make the task hard: the mean number of lesions of each kind at grades 0 to 4, and its variation.
NUMBERS = {
    "microaneurysm": (0, 4, 9, 12, 9),
    "dot haemorrhage": (0, 0, 6, 10, 7),
    "exudates": (0, 0, 3, 3, 3),
    "blot haemorrhage": (0, 0, 0.4, 12, 5),
    "cotton-wool spot": (0, 0, 0.3, 4, 3),
    "new vessels": (0, 0, 0, 0, 3),
    "preretinal haemorrhage": (0, 0, 0, 0, 1),
}
NUMBER_VARIATION = 0.5  # standard deviation of the logarithm of all numbers of an eye
BEADING = (0, 0, 0, 0.45, 0.45)  # of the veins, at grades 0 to 4
CONTRAST = (0.3, 1.0)  # of the lesions of an eye, least and most
DRUSEN_SHARE, NAEVI_SHARE = 0.35, 0.35  # fraction of eyes that have any

Place = tuple[float, float]
Lesions = dict[str, list[Dots]]


def sample_lesions(rng: Generator, grade: int, disc: Place) -> Lesions:
    """Sample the lesions of an eye.

    A kind that defines the grade, with a mean of at least one, occurs at least once.

    Source of the kinds: Wilkinson et al. 2003, https://doi.org/10.1016/S0161-6420(03)00475-5.

    Args:
        rng: Random number generator.
        grade: ICDR grade of diabetic retinopathy, 0 to 4.
        disc: Centre of the optic disc, in radii of the retina.

    Returns:
        Kind -> dots of each lesion, with a height of 1 where it is opaque.
    """
    shape: dict[str, Callable[[Generator, Place], Dots]] = {
        "microaneurysm": lambda rng, at: dot(*at, rng.uniform(0.014, 0.019), 1.2),
        "dot haemorrhage": lambda rng, at: dot(*at, rng.uniform(0.022, 0.03), 1.2),
        "exudates": _exudates,
        "blot haemorrhage": lambda rng, at: _cloud(rng, at, radius=rng.uniform(0.04, 0.07), n=9, height=1),
        "cotton-wool spot": lambda rng, at: _cloud(rng, at, radius=rng.uniform(0.05, 0.07), n=6, height=0.6),
        "new vessels": _tuft,
        "preretinal haemorrhage": _boat,
    }
    variation = np.exp(rng.normal(0, NUMBER_VARIATION))
    contrast = rng.uniform(*CONTRAST)
    lesions: Lesions = {}
    for kind, means in NUMBERS.items():
        number = max(rng.poisson(means[grade] * variation), int(means[grade] >= 1))
        places = (_sample_place(rng, kind, index, disc) for index in range(number))
        lesions[kind] = [shape[kind](rng, place) * (1, 1, 1, contrast) for place in places]
    return lesions


def sample_drusen(rng: Generator) -> Dots:
    """Sample drusen: pale spots around the macula, unrelated to diabetes. Most eyes have none."""
    number = rng.poisson(14) if rng.uniform() < DRUSEN_SHARE else 0
    x, y = rng.normal(0, 0.25, (2, number))
    return dot(x, y, rng.uniform(0.01, 0.02, number), rng.uniform(0.3, 1.0))


def sample_naevi(rng: Generator) -> Dots:
    """Sample naevi: pigmented spots anywhere, unrelated to diabetes."""
    number = rng.poisson(4) if rng.uniform() < NAEVI_SHARE else 0
    x, y = rng.uniform(-0.8, 0.8, (2, number))
    return dot(x, y, rng.uniform(0.015, 0.045, number), rng.uniform(0.2, 0.7))


def _sample_place(rng: Generator, kind: str, index: int, disc: Place) -> Place:
    """Sample the place of a lesion. Lesions of a kind alternate between quadrants, away from fovea and disc."""
    near, far = {"exudates": (0.18, 0.5), "new vessels": (0.15, 0.3), "preretinal haemorrhage": (0.4, 0.65)}.get(
        kind, (0.15, 0.8)
    )
    centre = disc if kind == "new vessels" else (0, 0)
    while True:
        angle = (index + rng.uniform()) * np.pi / 2
        radius = np.sqrt(rng.uniform(near**2, far**2))
        place = (centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle))
        if kind == "new vessels" or np.hypot(place[0] - disc[0], place[1] - disc[1]) > 0.2:
            return place


def _cloud(rng: Generator, at: Place, *, radius: float, n: int, height: float) -> Dots:
    x, y = np.reshape(at, (2, 1)) + rng.normal(0, 0.5 * radius, (2, n))
    return dot(x, y, 0.5 * radius, height * 3 / n)


def _exudates(rng: Generator, at: Place) -> Dots:
    """Hard exudates come in clusters."""
    number = rng.integers(5, 14)
    x, y = np.reshape(at, (2, 1)) + rng.normal(0, 0.05, (2, number))
    return dot(x, y, rng.uniform(0.008, 0.016, number), 1.5)


def _tuft(rng: Generator, at: Place) -> Dots:
    """New vessels are a tangle of fine loops."""
    loops = []
    for _ in range(9):
        turn = np.cumsum(rng.normal(0.12 * rng.choice([-1, 1]), 0.2, 40))  # tighter than any other vessel
        heading = rng.uniform(0, 2 * np.pi) + turn
        points = at + 0.006 * np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
        loops.append(line(points, 0.005, height=0.8, step=0.006))
    return join(loops)


def _boat(rng: Generator, at: Place) -> Dots:
    """A preretinal haemorrhage settles: level above, round below."""
    half = rng.uniform(0.16, 0.28)
    x, y = rng.uniform((-1, 0), (1, 1), (400, 2)).T
    inside = x**2 + y**2 < 1
    deviation = 0.03
    height = half**2 * 4 * 0.8 / 2 / (400 * 2 * np.pi * deviation**2) * 2
    return dot(at[0] + half * x[inside], at[1] + 0.8 * half * y[inside], deviation, height)
