"""What one case adds to a score that is not a mean over cases, such as a pooled Dice or Cohen's kappa."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def pseudo_values(score: float, without_case: Floats) -> Floats:
    """Give one value per case, which says how much the case moves the score: what an interval needs.

    These are the jackknife's pseudo-values (Tukey 1958), shifted so that their mean is the score itself.

    Args:
        score: Score of all cases.
        without_case: Score of all cases but one, for each `(cases,)`.

    Returns:
        `(cases,)`.
    """
    values: Floats = score + (len(without_case) - 1) * (without_case.mean() - without_case)
    return values
