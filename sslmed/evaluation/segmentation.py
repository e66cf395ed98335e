"""Scores of segmentations: counts per case, the Dice scores made of them, and the value of a whole test set."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from sslmed.evaluation.jackknife import Floats, pseudo_values

if TYPE_CHECKING:
    import torch

    LabelMap = npt.NDArray[np.integer] | torch.Tensor
    Mask = npt.NDArray[np.bool_] | torch.Tensor

Counts = npt.NDArray[np.int64]

PAPER_DICE = "dice_paper"


def class_counts(prediction: "LabelMap", truth: "LabelMap", num_classes: int) -> Counts:
    """Count the voxels of one case that are right, false and missed, for each class.

    Args:
        prediction: Class indices `(*spatial)`, an array or a tensor on any device.
        truth: The same, from the label.
        num_classes: Number of classes `K`, background included.

    Returns:
        True positives, false positives and false negatives, `(3, K)`.

    Raises:
        ValueError: The shapes differ, or an index is outside `0..K-1`, which no class would count.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape")
    for name, labels in (("prediction", prediction), ("truth", truth)):
        if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
            raise ValueError(
                f"{name} has class indices {int(labels.min())} to {int(labels.max())}, "
                f"expected 0 to {num_classes - 1} (indices, not label values)"
            )
    # torchmetrics' multiclass_stat_scores gives the same numbers, and takes 20 to 60 times as long on a CPU.
    by_class = [_mask_counts(prediction == index, truth == index) for index in range(num_classes)]
    return np.array(by_class, dtype=np.int64).T


def dice(tp: npt.ArrayLike, fp: npt.ArrayLike, fn: npt.ArrayLike) -> Floats:
    """Dice score 2TP / (2TP + FP + FN), elementwise; 1 where neither truth nor prediction has the class.

    The rule for empty classes is MONAI's `ignore_empty=False`: every arm keeps the same (case, class) pairs.
    """
    twice_tp, errors = 2 * np.asarray(tp, dtype=np.float64), np.add(fp, fn, dtype=np.float64)
    total = twice_tp + errors
    return np.divide(twice_tp, total, out=np.ones_like(total), where=total > 0)


def foreground_dice(prediction: "LabelMap", truth: "LabelMap", num_classes: int) -> float:
    """Mean Dice over the foreground classes of one case; arguments as in `class_counts`."""
    return float(dice(*class_counts(prediction, truth, num_classes))[1:].mean())


def region_dice(prediction: "LabelMap", truth: "LabelMap", classes: Sequence[int]) -> float:
    """Dice of the union of some classes of one case, given class indices `(*spatial)`."""
    predicted, true = (reduce(or_, (labels == index for index in classes)) for labels in (prediction, truth))
    return float(dice(*_mask_counts(predicted, true)))


def case_row(
    prediction: "LabelMap",
    truth: "LabelMap",
    label_values: Sequence[int],
    regions: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Score one case.

    Args:
        prediction: Class indices `(*spatial)`, i.e. positions in `label_values`.
        truth: The same, from the label.
        label_values: The classes' values in the label files, background first; they name the columns.
        regions: The class indices of each region, by its name.

    Returns:
        `dice_foreground`, `dice_class_<value>` for each foreground class, `dice_<region>`, and `tp_<value>`,
        `fp_<value>`, `fn_<value>` for every class.
    """
    counts = class_counts(prediction, truth, len(label_values))
    scores = dice(*counts)
    row = {"dice_foreground": float(scores[1:].mean())}
    row |= {f"dice_class_{value}": float(score) for value, score in zip(label_values[1:], scores[1:], strict=True)}
    if regions is not None:
        row |= {f"dice_{name}": region_dice(prediction, truth, classes) for name, classes in regions.items()}
    for value, of_class in zip(label_values, counts.T, strict=True):
        row |= {f"{kind}_{value}": float(count) for kind, count in zip(("tp", "fp", "fn"), of_class, strict=True)}
    return row


def paper_dice(cases: pd.DataFrame) -> float:
    """Give the published Dice: hard, per class over all voxels of the test set, mean over classes with background.

    It exists for comparison with https://arxiv.org/abs/2006.03829, Figure 3.

    Args:
        cases: One row per test case of one run, with the counts of `case_row`.
    """
    return float(_paper_dice(_counts(cases).sum(axis=0)))


def paper_dice_values(cases: pd.DataFrame) -> Floats:
    """Give what each case adds to `paper_dice`, `(cases,)`: pooled, a case has no score of its own."""
    counts = _counts(cases)
    pooled = counts.sum(axis=0)
    return pseudo_values(float(_paper_dice(pooled)), _paper_dice(pooled - counts))


def _mask_counts(predicted: "Mask", true: "Mask") -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives."""
    hits = int((predicted & true).sum())
    return hits, int(predicted.sum()) - hits, int(true.sum()) - hits


def _counts(cases: pd.DataFrame) -> Floats:
    """Give tp, fp and fn of every class, `(cases, 3, K)`."""
    values = [column.removeprefix("tp_") for column in map(str, cases.columns) if column.startswith("tp_")]
    return np.stack([cases[[f"{kind}_{value}" for value in values]] for kind in ("tp", "fp", "fn")], axis=1)


def _paper_dice(counts: Floats) -> Floats:
    """Give the mean Dice over classes of pooled counts `(..., 3, K)`, as `(...)`."""
    scores: Floats = dice(counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]).mean(axis=-1)
    return scores
