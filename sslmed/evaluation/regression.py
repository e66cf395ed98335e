"""Scores of regressions: the absolute error of each case, r² of a test set, and what each case adds to it."""

import numpy as np
import pandas as pd

from sslmed.evaluation.jackknife import Floats, pseudo_values

CHANCE_R2 = 0.0
"""r² where all truths are the same, so that there is nothing to explain."""

ROUNDING = 1e-12
"""Of the sum of squares: a spread below this fraction of it is rounding."""


def absolute_errors(cases: pd.DataFrame) -> Floats:
    """Give |prediction − truth| of each case, `(cases,)`, in the unit of the values.

    Args:
        cases: One row per test case of one run: `truth`, `prediction`.

    Raises:
        ValueError: A value is not a finite number.
    """
    truth, prediction = _read(cases)
    errors: Floats = np.abs(prediction - truth)
    return errors


def r2(cases: pd.DataFrame) -> float:
    """Give r² = 1 − Σ(truth − prediction)² / Σ(truth − mean truth)²; arguments as in `absolute_errors`."""
    truth, prediction = _read(cases)
    return float(_r2(((prediction - truth) ** 2).sum(), (truth**2).sum(), 0.0))


def r2_values(cases: pd.DataFrame) -> Floats:
    """Give what each case adds to r², `(cases,)`; their mean is r². Arguments as in `absolute_errors`."""
    truth, prediction = _read(cases)
    n, error, squares = len(truth), (prediction - truth) ** 2, (truth**2).sum()
    if n == 1:
        return np.array([CHANCE_R2])
    without = squares - truth**2 - truth**2 / (n - 1)  # the truths' sum is 0, so without a case it is minus the case
    return pseudo_values(r2(cases), _r2(error.sum() - error, without, ROUNDING * squares))


def _read(cases: pd.DataFrame) -> tuple[Floats, Floats]:
    """Give truth and prediction `(cases,)` less the truths' mean, so that squares keep their digits."""
    columns = (pd.to_numeric(cases[name], errors="coerce") for name in ("truth", "prediction"))
    truth, prediction = (column.to_numpy(np.float64) for column in columns)
    if not (np.isfinite(truth).all() and np.isfinite(prediction).all()):
        raise ValueError("the cases have values that are not finite numbers: did training diverge?")
    truth, prediction = truth - truth[0], prediction - truth[0]  # equal truths become 0 without rounding
    return truth - truth.mean(), prediction - truth.mean()


def _r2(error: Floats, spread: Floats, rounding: float) -> Floats:
    """Give 1 − error / spread, elementwise; `CHANCE_R2` where there is no spread but rounding."""
    error, spread = np.asarray(error), np.asarray(spread)
    explained: Floats = 1 - np.divide(error, spread, out=np.full(spread.shape, 1 - CHANCE_R2), where=spread > rounding)
    return explained
