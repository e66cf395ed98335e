"""Where a rising curve reaches a level, with a 95 % confidence interval.

The interval is the inverse of a test, as Fieller's is for a ratio (1954, https://www.jstor.org/stable/2984043): it
contains the points where the interval of curve minus level contains 0. So it needs no slope and is wide where the curve
is flat. An end is open where the curve may reach the level before the first point or after the last.

Noise lets a flat curve cross a level several times, and the first crossing then comes too early. As the expected score
rises, the mean and both ends of its interval are each replaced by the nearest curve that never falls, which crosses
once. This is isotonic regression by pooling adjacent violators (Busing 2022, https://doi.org/10.18637/jss.v102.c01). It
keeps the order of the three, so the interval contains the estimate. Where the true curve falls, the fall is
averaged out; `Crossing.monotone` says whether the data contradict the assumption.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from sslmed.evaluation.statistics import Floats, estimate

STEPS = 4
"""Grid points tested per interval between two points of a curve."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Crossing:
    """Holds where a curve reaches a level, in units of x. −inf means before the first point, inf after the last.

    Attributes:
        value: Where the mean over folds reaches the level.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        monotone: Whether the data are compatible with a curve that never falls. False if the upper end of the interval
            at some point is below the nearest such curve. Value and interval are then not valid.
    """

    value: float
    low: float
    high: float
    monotone: bool


def crossing(
    x: npt.ArrayLike, folds: Sequence[Floats], bounds: tuple[float, float], *, test_to_train: float
) -> Crossing:
    """Estimate where a curve reaches a level.

    The interval includes the same noise and the same correction as `estimate` with these folds and seeds. Sources:
    Fieller 1954, https://www.jstor.org/stable/2984043, for inverting the test; Busing 2022,
    https://doi.org/10.18637/jss.v102.c01, for isotonic regression.

    Args:
        x: Positions of the points, increasing, `(points,)`. Curves are linear in between.
        folds: Curve minus level of each fold, paired by run and case, `(points, seeds, cases)`.
        bounds: Smallest and largest possible difference.
        test_to_train: As in `estimate`.

    Returns:
        Value and interval in units of x.
    """
    refined = _refine(np.asarray(x, dtype=np.float64))
    fine = [_refine(fold) for fold in folds]
    points = range(len(refined))
    estimates = [estimate([fold[i] for fold in fine], bounds, test_to_train=test_to_train) for i in points]
    mean, low, high = (np.array([getattr(each, name) for each in estimates]) for name in ("mean", "low", "high"))
    is_level = [not any(fold[i].any() for fold in fine) for i in points]
    low[is_level] = high[is_level] = 0  # as the baseline's curve at its own end: that it is reached is no estimate
    # The upper end of the curve is the first to reach the level.
    value, first, last = (_first_reached(refined, curve) for curve in (mean, high, low))
    return Crossing(value, first, last, _may_rise(mean[::STEPS], high[::STEPS]))


def _refine(points: Floats) -> Floats:
    """Add points between neighbours along the first axis by linear interpolation."""
    position = np.linspace(0, len(points) - 1, (len(points) - 1) * STEPS + 1)
    before = np.floor(position).astype(int)
    after, weight = np.ceil(position).astype(int), (position - before).reshape(-1, *[1] * (points.ndim - 1))
    refined: Floats = (1 - weight) * points[before] + weight * points[after]
    return refined


def _first_reached(x: Floats, differences: Floats) -> float:
    """Compute where the nearest curve that never falls reaches 0."""
    rising = isotonic_regression(differences).x
    i = int(np.searchsorted(rising, 0))
    if i == 0:
        return -np.inf
    return float(np.interp(0, rising[i - 1 : i + 1], x[i - 1 : i + 1])) if i < len(x) else np.inf


def _may_rise(mean: Floats, high: Floats) -> bool:
    """Whether no upper end of an interval is below the nearest curve that never falls."""
    return bool((high >= isotonic_regression(mean).x - ROUNDING).all())
