"""Scores of classifications: quadratic weighted kappa, accuracy and AUROC of a test set, and pseudo-values of cases."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from sslmed.evaluation.jackknife import pseudo_values

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

CHANCE_KAPPA = 0.0
"""Kappa where it is 0 / 0, because all truths and predictions are one class. Other constant predictions score 0 too."""

CHANCE_AUROC = 0.5
"""AUROC of a test set with a single class, which has no pair of cases to rank."""


def kappa(cases: pd.DataFrame) -> float:
    """Compute Cohen's kappa with quadratic weights.

    1 − Σ w O / Σ w E, with the confusion matrix O, the matrix E expected by chance and w = (i − j)². Source: Cohen
    1968, https://doi.org/10.1037/h0026256.

    Args:
        cases: One row per test case of one run: `truth`, `prediction`, `probability_<i>` for each class.

    Returns:
        Kappa in [−1, 1], without unit; 0 where it is undefined.

    Raises:
        ValueError: If a class index is outside 0..K−1, or a probability is outside [0, 1] or not a number.
    """
    # torch takes seconds to import, and tables need only the values of cases.
    import torch
    from torchmetrics.functional.classification import multiclass_cohen_kappa

    truth, prediction, probabilities = _read(cases)
    answers = torch.tensor(prediction), torch.tensor(truth)
    found = multiclass_cohen_kappa(*answers, probabilities.shape[1], weights="quadratic")
    return float(torch.nan_to_num(found, nan=CHANCE_KAPPA))


def kappa_values(cases: pd.DataFrame) -> Floats:
    """Compute jackknife pseudo-values of `kappa`.

    Source: see `sslmed.evaluation.jackknife.pseudo_values`.

    Args:
        cases: As in `kappa`.

    Returns:
        One value per case, `(cases,)`; their mean is kappa.

    Raises:
        ValueError: As in `kappa`.
    """
    truth, prediction, probabilities = _read(cases)
    return pseudo_values(*_kappa_without_case(truth, prediction, probabilities.shape[1]))


def hits(cases: pd.DataFrame) -> Floats:
    """Compute whether each case is classified correctly; the mean is the accuracy.

    Args:
        cases: As in `kappa`.

    Returns:
        1.0 or 0.0, `(cases,)`.

    Raises:
        ValueError: As in `kappa`.
    """
    truth, prediction, _ = _read(cases)
    return np.asarray(truth == prediction, dtype=np.float64)


def auroc_of_cases(cases: pd.DataFrame) -> float:
    """Compute `auroc` from a table of cases.

    Source: Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747.

    Args:
        cases: As in `kappa`.

    Returns:
        AUROC in [0, 1], without unit.

    Raises:
        ValueError: As in `kappa`.
    """
    import torch

    truth, _, probabilities = _read(cases)
    return auroc(torch.tensor(truth), torch.tensor(probabilities))


def auroc(truth: "torch.Tensor", probabilities: "torch.Tensor") -> float:
    """Compute the area under the ROC curve of each class against the rest, and average over classes.

    The area is the probability that a random positive case scores higher than a random negative one: Hanley and McNeil
    1982, https://doi.org/10.1148/radiology.143.1.7063747. The mean skips classes that no case has, or all cases have.
    (torchmetrics' own mean counts them as 0.)

    Args:
        truth: Class indices `(cases,)`.
        probabilities: `(cases, K)`, in [0, 1].

    Returns:
        AUROC in [0, 1], without unit; 0.5 if all cases have the same class.
    """
    from torchmetrics.functional.classification import binary_auroc

    areas = [
        float(binary_auroc(scores, positive.long()))
        for scores, positive in ((column, truth == index) for index, column in enumerate(probabilities.T))
        if 0 < positive.sum() < len(truth)
    ]
    return float(np.mean(areas)) if areas else CHANCE_AUROC


def auroc_values(cases: pd.DataFrame) -> Floats:
    """Compute jackknife pseudo-values of `auroc_of_cases`.

    Source: see `sslmed.evaluation.jackknife.pseudo_values`.

    Args:
        cases: As in `kappa`.

    Returns:
        One value per case, `(cases,)`; their mean is the AUROC.

    Raises:
        ValueError: As in `kappa`.
    """
    truth, _, probabilities = _read(cases)
    return pseudo_values(*_auroc_without_case(truth, probabilities))


def _read(cases: pd.DataFrame) -> tuple[Indices, Indices, Floats]:
    """Return truth `(cases,)`, prediction `(cases,)` and probabilities `(cases, K)`."""
    num_classes = sum(str(column).startswith("probability_") for column in cases.columns)
    probabilities = cases[[f"probability_{index}" for index in range(num_classes)]].to_numpy(np.float64)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("the cases have probabilities outside [0, 1] or not a number: did training diverge?")
    truth, prediction = (cases[column].to_numpy(np.int64) for column in ("truth", "prediction"))
    for name, classes in (("truth", truth), ("prediction", prediction)):
        if classes.min() < 0 or classes.max() >= num_classes:
            raise ValueError(f"{name} has classes {classes.min()} to {classes.max()}, expected 0 to {num_classes - 1}")
    return truth, prediction, probabilities


def _kappa_without_case(truth: Indices, prediction: Indices, num_classes: int) -> tuple[float, Floats]:
    """Compute quadratic weighted kappa of all cases, and without each case `(cases,)`.

    A case counts only through its cell of the confusion matrix, so removing one case has at most K × K outcomes.
    """
    classes = np.arange(num_classes)
    weights = (classes[:, None] - classes).astype(np.float64) ** 2
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (truth, prediction), 1)
    n, of_truth, of_prediction = len(truth), confusion.sum(1), confusion.sum(0)
    disagreement = (weights * confusion).sum()
    by_chance = of_truth @ weights @ of_prediction  # n times the expected disagreement
    less_one = by_chance - (weights @ of_prediction)[:, None] - of_truth @ weights + weights
    without_case = _kappa((n - 1) * (disagreement - weights), less_one)[truth, prediction]
    return float(_kappa(n * disagreement, by_chance)), without_case


def _kappa(disagreement: npt.ArrayLike, by_chance: npt.ArrayLike) -> Floats:
    """Compute 1 − disagreement / by_chance, elementwise."""
    observed, expected = np.asarray(disagreement), np.asarray(by_chance)
    chance = np.full(expected.shape, CHANCE_KAPPA)
    kappa: Floats = np.divide(expected - observed, expected, out=chance, where=expected > 0)
    return kappa


def _auroc_without_case(truth: Indices, probabilities: Floats) -> tuple[float, Floats]:
    """Compute the AUROC of all cases, and without each case `(cases,)`."""
    areas = [_area_without_case(truth == index, scores) for index, scores in enumerate(probabilities.T)]
    return float(_mean_of_usable([area for area, _ in areas])), _mean_of_usable([without for _, without in areas])


def _area_without_case(positive: npt.NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Compute the area of one class against the rest, and without each case; NaN where one of the sides is empty.

    The area is the fraction of the pairs of a positive and a negative case that the scores rank correctly. Ties count
    half.
    """
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    right = np.where(positive, _below(negatives, scores), len(positives) - _below(positives, scores))
    total = right[positive].sum()
    pairs = np.where(positive, (len(positives) - 1) * len(negatives), len(positives) * (len(negatives) - 1))
    return _fraction(total, len(positives) * len(negatives)), _fraction(total - right, pairs)


def _below(ascending: Floats, scores: Floats) -> Floats:
    """Count the elements of `ascending` that are below each score, plus half of those that equal it."""
    return (np.searchsorted(ascending, scores, "left") + np.searchsorted(ascending, scores, "right")) / 2


def _fraction(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole)
    fraction: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return fraction


def _mean_of_usable(areas: list[Floats]) -> Floats:
    """Average over the first axis, ignoring NaN; chance level where all are NaN."""
    stacked = np.stack(areas)
    usable = ~np.isnan(stacked)
    chance = np.full(stacked.shape[1:], CHANCE_AUROC)
    mean: Floats = np.divide(np.where(usable, stacked, 0).sum(0), usable.sum(0), out=chance, where=usable.any(0))
    return mean
