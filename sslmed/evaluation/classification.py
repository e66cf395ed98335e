"""Scores of classifications: quadratic weighted kappa, accuracy and AUROC of a test set, and what each case adds."""

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
"""Kappa where it is 0 / 0, all truths and predictions being one class: what constant answers get otherwise, too."""

CHANCE_AUROC = 0.5
"""AUROC of a test set of one class, which leaves no pair to put in order."""


def kappa(cases: pd.DataFrame) -> float:
    """Give Cohen's kappa with quadratic weights of a test set.

    Source: Cohen 1968, https://doi.org/10.1037/h0026256.

    Args:
        cases: One row per test case of one run: `truth`, `prediction`, `probability_<i>` for each class.

    Raises:
        ValueError: A class or a probability is not one.
    """
    # torch takes seconds to import, and tables need only the values of cases.
    import torch
    from torchmetrics.functional.classification import multiclass_cohen_kappa

    truth, prediction, probabilities = _read(cases)
    answers = torch.tensor(prediction), torch.tensor(truth)
    found = multiclass_cohen_kappa(*answers, probabilities.shape[1], weights="quadratic")
    return float(torch.nan_to_num(found, nan=CHANCE_KAPPA))


def kappa_values(cases: pd.DataFrame) -> Floats:
    """Give what each case adds to `kappa`, `(cases,)`; arguments as there."""
    truth, prediction, probabilities = _read(cases)
    return pseudo_values(*_kappa_without_case(truth, prediction, probabilities.shape[1]))


def hits(cases: pd.DataFrame) -> Floats:
    """Say of each case whether its class is told right, 1 or 0, `(cases,)`; arguments as in `kappa`."""
    truth, prediction, _ = _read(cases)
    return np.asarray(truth == prediction, dtype=np.float64)


def auroc_of_cases(cases: pd.DataFrame) -> float:
    """Give `auroc` of a test set; arguments as in `kappa`."""
    import torch

    truth, _, probabilities = _read(cases)
    return auroc(torch.tensor(truth), torch.tensor(probabilities))


def auroc(truth: "torch.Tensor", probabilities: "torch.Tensor") -> float:
    """Give the mean area under the curve of one class against the rest, over the classes that have both.

    (torchmetrics' own mean counts the other classes as 0.)

    Args:
        truth: Class indices `(cases,)`.
        probabilities: `(cases, K)`.
    """
    from torchmetrics.functional.classification import binary_auroc

    areas = [
        float(binary_auroc(scores, positive.long()))
        for scores, positive in ((column, truth == index) for index, column in enumerate(probabilities.T))
        if 0 < positive.sum() < len(truth)
    ]
    return float(np.mean(areas)) if areas else CHANCE_AUROC


def auroc_values(cases: pd.DataFrame) -> Floats:
    """Give what each case adds to `auroc_of_cases`, `(cases,)`; arguments as in `kappa`."""
    truth, _, probabilities = _read(cases)
    return pseudo_values(*_auroc_without_case(truth, probabilities))


def _read(cases: pd.DataFrame) -> tuple[Indices, Indices, Floats]:
    """Give truth `(cases,)`, prediction `(cases,)` and probabilities `(cases, K)`."""
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
    """Give quadratic weighted kappa of all cases, and without each case `(cases,)`.

    A case counts by its cell of the confusion matrix alone, so there are K × K ways to leave one out.
    """
    classes = np.arange(num_classes)
    weights = (classes[:, None] - classes).astype(np.float64) ** 2
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (truth, prediction), 1)
    n, of_truth, of_prediction = len(truth), confusion.sum(1), confusion.sum(0)
    disagreement = (weights * confusion).sum()
    by_chance = of_truth @ weights @ of_prediction  # n times what is expected
    less_one = by_chance - (weights @ of_prediction)[:, None] - of_truth @ weights + weights
    without_case = _kappa((n - 1) * (disagreement - weights), less_one)[truth, prediction]
    return float(_kappa(n * disagreement, by_chance)), without_case


def _kappa(disagreement: npt.ArrayLike, by_chance: npt.ArrayLike) -> Floats:
    """Give 1 − disagreement / by_chance, elementwise."""
    observed, expected = np.asarray(disagreement), np.asarray(by_chance)
    chance = np.full(expected.shape, CHANCE_KAPPA)
    kappa: Floats = np.divide(expected - observed, expected, out=chance, where=expected > 0)
    return kappa


def _auroc_without_case(truth: Indices, probabilities: Floats) -> tuple[float, Floats]:
    """Give AUROC of all cases, and without each case `(cases,)`."""
    areas = [_area_without_case(truth == index, scores) for index, scores in enumerate(probabilities.T)]
    return float(_mean_of_usable([area for area, _ in areas])), _mean_of_usable([without for _, without in areas])


def _area_without_case(positive: npt.NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Give the area of one class against the rest, and without each case; NaN where one of the two sides is empty.

    The area is the fraction of the pairs of a positive and a negative case that the scores put in the right order; ties
    count half.
    """
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    right = np.where(positive, _below(negatives, scores), len(positives) - _below(positives, scores))
    total = right[positive].sum()
    pairs = np.where(positive, (len(positives) - 1) * len(negatives), len(positives) * (len(negatives) - 1))
    return _fraction(total, len(positives) * len(negatives)), _fraction(total - right, pairs)


def _below(ascending: Floats, scores: Floats) -> Floats:
    """Count for each score how many of others, in ascending order, are below it, and half of those that equal it."""
    return (np.searchsorted(ascending, scores, "left") + np.searchsorted(ascending, scores, "right")) / 2


def _fraction(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole)
    fraction: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return fraction


def _mean_of_usable(areas: list[Floats]) -> Floats:
    """Average over the first axis what is not NaN."""
    stacked = np.stack(areas)
    usable = ~np.isnan(stacked)
    chance = np.full(stacked.shape[1:], CHANCE_AUROC)
    mean: Floats = np.divide(np.where(usable, stacked, 0).sum(0), usable.sum(0), out=chance, where=usable.any(0))
    return mean
