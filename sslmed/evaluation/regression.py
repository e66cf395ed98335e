"""Scores of regressions: the absolute error of each case, r² of a test set, and pseudo-values of r²."""

import numpy as np
import pandas as pd

from sslmed.evaluation.jackknife import Floats, pseudo_values

CHANCE_R2 = 0.0
"""r² where all truths are equal, so that there is no variance to explain."""

ROUNDING = 1e-12
"""A spread below this fraction of the sum of squares counts as rounding error."""


def absolute_errors(cases: pd.DataFrame) -> Floats:
    """Compute |prediction − truth| of each case; the mean is the mean absolute error.

    Source: Willmott and Matsuura 2005, https://doi.org/10.3354/cr030079.

    Args:
        cases: One row per test case of one run: `truth`, `prediction`.

    Returns:
        `(cases,)`, in the unit of the values.

    Raises:
        ValueError: If a value is not a finite number.
    """
    truth, prediction = _read(cases)
    errors: Floats = np.abs(prediction - truth)
    return errors


def r2(cases: pd.DataFrame) -> float:
    """Compute the coefficient of determination, r² = 1 − Σ(truth − prediction)² / Σ(truth − mean truth)².

    Source: https://scikit-learn.org/stable/modules/model_evaluation.html#r2-score, which has the same definition.

    Args:
        cases: As in `absolute_errors`.

    Returns:
        r² in (−∞, 1], without unit; 0 where all truths are equal.

    Raises:
        ValueError: As in `absolute_errors`.
    """
    truth, prediction = _read(cases)
    return float(_r2(((prediction - truth) ** 2).sum(), (truth**2).sum(), 0.0))


def r2_values(cases: pd.DataFrame) -> Floats:
    """Compute jackknife pseudo-values of `r2`.

    Source: see `sslmed.evaluation.jackknife.pseudo_values`.

    Args:
        cases: As in `absolute_errors`.

    Returns:
        One value per case, `(cases,)`; their mean is r².

    Raises:
        ValueError: As in `absolute_errors`.
    """
    truth, prediction = _read(cases)
    n, error, squares = len(truth), (prediction - truth) ** 2, (truth**2).sum()
    if n == 1:
        return np.array([CHANCE_R2])
    without = squares - truth**2 - truth**2 / (n - 1)  # the truths sum to 0, so without case i they sum to −truthᵢ
    return pseudo_values(r2(cases), _r2(error.sum() - error, without, ROUNDING * squares))


def _read(cases: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return truth and prediction `(cases,)` minus the mean truth, which keeps squares precise."""
    columns = (pd.to_numeric(cases[name], errors="coerce") for name in ("truth", "prediction"))
    truth, prediction = (column.to_numpy(np.float64) for column in columns)
    if not (np.isfinite(truth).all() and np.isfinite(prediction).all()):
        raise ValueError("the cases have values that are not finite numbers: did training diverge?")
    truth, prediction = truth - truth[0], prediction - truth[0]  # equal truths become exactly 0
    return truth - truth.mean(), prediction - truth.mean()


def _r2(error: Floats, spread: Floats, rounding: float) -> Floats:
    """Compute 1 − error / spread, elementwise; `CHANCE_R2` where the spread is rounding error."""
    error, spread = np.asarray(error), np.asarray(spread)
    explained: Floats = 1 - np.divide(error, spread, out=np.full(spread.shape, 1 - CHANCE_R2), where=spread > rounding)
    return explained
