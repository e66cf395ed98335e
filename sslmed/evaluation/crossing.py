"""Where a rising curve reaches a level, with an interval: the points whose difference to the level may be zero.

The interval is the inverse of a test, as Fieller's is for a ratio (1954, https://www.jstor.org/stable/2984043): it
holds the points where the interval of curve minus level holds 0. So it needs no slope, is wide where the curve is flat,
and has an open end where the curve may reach the level before the first point or after the last.

Noise lets a flat curve cross a level several times, and the first crossing then comes too early. As the expected score
rises, the mean and both ends of its interval are each replaced by the nearest curve that never falls (isotonic
regression), which crosses once. This keeps the order of the three, so that the interval holds the estimate. Where the
true curve falls, the fall is averaged away; `Crossing.monotone` says whether the data contradict the assumption.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from sslmed.evaluation.statistics import Floats, estimate

STEPS = 4
"""Points tested from one point of a curve to the next."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Crossing:
    """Where a curve reaches a level, in units of its abscissa; −inf is before its first point, inf after its last.

    Attributes:
        value: Where the mean over folds reaches the level.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        monotone: Whether the curve may rise all the way; false if the mean falls below the nearest curve that never
            falls by more than its interval allows. Value and interval then rest on an assumption that does not hold.
    """

    value: float
    low: float
    high: float
    monotone: bool


def crossing(
    x: npt.ArrayLike, folds: Sequence[Floats], bounds: tuple[float, float], *, test_to_train: float
) -> Crossing:
    """Estimate where a curve reaches a level.

    The interval includes the noise that `estimate` includes for as many folds and seeds, and its correction.

    Args:
        x: Abscissae of the points, increasing, between which each run's curve is a straight line, `(points,)`.
        folds: Curve minus level of each fold, paired by run and case, `(points, seeds, cases)`.
        bounds: Least and greatest possible value of a difference.
        test_to_train: As in `estimate`.
    """
    refined = _refine(np.asarray(x, dtype=np.float64))
    fine = [_refine(fold) for fold in folds]
    points = range(len(refined))
    estimates = [estimate([fold[i] for fold in fine], bounds, test_to_train=test_to_train) for i in points]
    mean, low, high = (np.array([getattr(each, name) for each in estimates]) for name in ("mean", "low", "high"))
    # The upper end of the curve is the first to reach the level.
    value, first, last = (_first_reached(refined, curve) for curve in (mean, high, low))
    return Crossing(value, first, last, _may_rise(mean[::STEPS], high[::STEPS]))


def _refine(points: Floats) -> Floats:
    """Put points between neighbours along the first axis, on straight lines."""
    position = np.linspace(0, len(points) - 1, (len(points) - 1) * STEPS + 1)
    before = np.floor(position).astype(int)
    after, weight = np.ceil(position).astype(int), (position - before).reshape(-1, *[1] * (points.ndim - 1))
    refined: Floats = (1 - weight) * points[before] + weight * points[after]
    return refined


def _first_reached(x: Floats, differences: Floats) -> float:
    """Give where the nearest curve that never falls reaches 0."""
    rising = isotonic_regression(differences).x
    i = int(np.searchsorted(rising, 0))
    if i == 0:
        return -np.inf
    return float(np.interp(0, rising[i - 1 : i + 1], x[i - 1 : i + 1])) if i < len(x) else np.inf


def _may_rise(mean: Floats, high: Floats) -> bool:
    """Whether the upper ends of the points' intervals are nowhere below the nearest curve that never falls."""
    return bool((high >= isotonic_regression(mean).x - ROUNDING).all())
