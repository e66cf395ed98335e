"""Contributions of single cases to a score that is not a mean over cases, such as a pooled Dice or Cohen's kappa."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def pseudo_values(score: float, without_case: Floats) -> Floats:
    """Compute jackknife pseudo-values, whose spread gives an interval for a pooled score.

    n s − (n − 1) s₋ᵢ (Tukey 1958; review by Miller 1974, https://doi.org/10.1093/biomet/61.1.1), shifted so that their
    mean is the score s itself.

    Args:
        score: Score s of all n cases.
        without_case: Score s₋ᵢ of all cases except case i, `(cases,)`.

    Returns:
        One value per case, `(cases,)`, in the unit of the score.
    """
    values: Floats = score + (len(without_case) - 1) * (without_case.mean() - without_case)
    return values
