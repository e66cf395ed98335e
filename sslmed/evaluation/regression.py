"""Scores of regressions: mean absolute error and r² of a test set, and what each case adds."""

import numpy as np
import pandas as pd

from sslmed.evaluation.jackknife import Floats, pseudo_values

MAE = "mae"
R2 = "r2"

CHANCE_R2 = 0.0
"""r² where all truths are the same, so that there is nothing to explain."""


def case_values(cases: pd.DataFrame, metric: str) -> Floats:
    """Give one value per case whose mean is the value of the whole test set.

    Args:
        cases: One row per test case of one run: `truth`, `prediction`.
        metric: `mae`, in the unit of the values, or `r2` (see `pseudo_values`).

    Returns:
        `(cases,)`.

    Raises:
        ValueError: The cases do not determine the metric.
    """
    truth, prediction = _read(cases)
    if metric == MAE:
        return np.abs(prediction - truth)
    if metric != R2:
        raise ValueError(f"metric {metric!r} is not one of regressions: mae, r2")
    n, error, total = len(truth), (prediction - truth) ** 2, truth.sum()
    spread = (truth**2).sum() - total**2 / n
    if n == 1:
        return np.array([CHANCE_R2])
    without = (truth**2).sum() - truth**2 - (total - truth) ** 2 / (n - 1)
    return pseudo_values(_r2(error.sum(), spread).item(), _r2(error.sum() - error, without))


def summarise(cases: pd.DataFrame) -> dict[str, float]:
    """Score a test set by `mae` and by `r2` = 1 − Σ(truth − prediction)² / Σ(truth − mean truth)².

    Args:
        cases: As in `case_values`.

    Raises:
        ValueError: A prediction is not a finite number.
    """
    return {metric: float(case_values(cases, metric).mean()) for metric in (MAE, R2)}


def _read(cases: pd.DataFrame) -> tuple[Floats, Floats]:
    """Give truth and prediction, from the truths' mean, so that squares keep their digits."""
    truth, prediction = (
        pd.to_numeric(cases[name], errors="coerce").to_numpy(float) for name in ("truth", "prediction")
    )
    if not (np.isfinite(truth).all() and np.isfinite(prediction).all()):
        raise ValueError("the cases have predictions that are not finite numbers: did training diverge?")
    return truth - truth.mean(), prediction - truth.mean()


def _r2(error: Floats | float, spread: Floats | float) -> Floats:
    """Give 1 − error / spread, elementwise; spread that is rounding is none."""
    error, spread = np.asarray(error), np.asarray(spread)
    r2: Floats = 1 - np.divide(error, spread, out=np.full(spread.shape, 1 - CHANCE_R2), where=spread > TINY)
    return r2


TINY = 1e-12
