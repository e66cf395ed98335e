"""Scores of segmentations: counts of voxels per case, and Dice scores of cases and of a whole test set."""

from collections.abc import Collection, Mapping, Sequence
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


def class_counts(prediction: "LabelMap", truth: "LabelMap", num_classes: int, lost: Collection[int] = ()) -> Counts:
    """Count true positive, false positive and false negative voxels of one case, for each class.

    Args:
        prediction: Class indices `(*spatial)`, an array or a tensor on any device.
        truth: Class indices of the label, same shape.
        num_classes: Number of classes `K`, background included.
        lost: Classes that the scan's label has and `truth` has lost, as its grid is too coarse or does not reach them.
            Each counts as one missed voxel, so that its Dice is 0, whatever is predicted.

    Returns:
        Numbers of voxels: true positives, false positives and false negatives, `(3, K)`.

    Raises:
        ValueError: If the shapes differ, or an index is outside `0..K-1`.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape")
    for name, labels in (("prediction", prediction), ("truth", truth)):
        if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
            raise ValueError(
                f"{name} has class indices {int(labels.min())} to {int(labels.max())}, "
                f"expected 0 to {num_classes - 1} (indices, not label values)"
            )
    # torchmetrics' multiclass_stat_scores returns the same numbers but takes 20 to 60 times as long on a CPU.
    by_class = [
        _mask_counts(prediction == index, truth == index, is_lost=index in lost) for index in range(num_classes)
    ]
    return np.array(by_class, dtype=np.int64).T


def dice(tp: npt.ArrayLike, fp: npt.ArrayLike, fn: npt.ArrayLike) -> Floats:
    """Compute the Dice score 2 TP / (2 TP + FP + FN), elementwise.

    Source: Dice 1945, https://doi.org/10.2307/1932409. It is 1 where neither truth nor prediction has the class, as in
    MONAI's `ignore_empty=False`, so that every arm has the same pairs of case and class.

    Args:
        tp: Numbers of true positives, of any shape.
        fp: Numbers of false positives, same shape.
        fn: Numbers of false negatives, same shape.

    Returns:
        Dice in [0, 1], without unit, same shape.
    """
    twice_tp, errors = 2 * np.asarray(tp, dtype=np.float64), np.add(fp, fn, dtype=np.float64)
    total = twice_tp + errors
    return np.divide(twice_tp, total, out=np.ones_like(total), where=total > 0)


def foreground_dice(prediction: "LabelMap", truth: "LabelMap", num_classes: int, lost: Collection[int] = ()) -> float:
    """Compute the mean Dice over the foreground classes of one case.

    Source: Dice 1945, https://doi.org/10.2307/1932409.

    Args:
        prediction: As in `class_counts`.
        truth: As in `class_counts`.
        num_classes: As in `class_counts`.
        lost: As in `class_counts`.

    Returns:
        Dice in [0, 1].

    Raises:
        ValueError: As in `class_counts`.
    """
    return float(dice(*class_counts(prediction, truth, num_classes, lost))[1:].mean())


def region_dice(prediction: "LabelMap", truth: "LabelMap", classes: Sequence[int], lost: Collection[int] = ()) -> float:
    """Compute the Dice of a region, the union of some classes, of one case.

    Source: Dice 1945, https://doi.org/10.2307/1932409.

    Args:
        prediction: Class indices `(*spatial)`.
        truth: Class indices `(*spatial)`.
        classes: Class indices of the region.
        lost: As in `class_counts`.

    Returns:
        Dice in [0, 1].
    """
    predicted, true = (reduce(or_, (labels == index for index in classes)) for labels in (prediction, truth))
    return float(dice(*_mask_counts(predicted, true, is_lost=not {*classes}.isdisjoint(lost))))


def case_row(
    prediction: "LabelMap",
    truth: "LabelMap",
    label_values: Sequence[int],
    regions: Mapping[str, Sequence[int]] | None = None,
    lost: Collection[int] = (),
) -> dict[str, float]:
    """Compute the Dice scores and the counts of voxels of one case.

    Source: Dice 1945, https://doi.org/10.2307/1932409.

    Args:
        prediction: Class indices `(*spatial)`, i.e. positions in `label_values`.
        truth: Class indices of the label, same shape.
        label_values: Values of the classes in the label files, background first; columns are named by them.
        regions: Name of each region -> its class indices.
        lost: As in `class_counts`.

    Returns:
        `dice_foreground`, `dice_class_<value>` for each foreground class, `dice_<region>`, and `tp_<value>`,
        `fp_<value>`, `fn_<value>` for every class.

    Raises:
        ValueError: As in `class_counts`.
    """
    counts = class_counts(prediction, truth, len(label_values), lost)
    scores = dice(*counts)
    row = {"dice_foreground": float(scores[1:].mean())}
    row |= {f"dice_class_{value}": float(score) for value, score in zip(label_values[1:], scores[1:], strict=True)}
    if regions is not None:
        row |= {f"dice_{name}": region_dice(prediction, truth, classes, lost) for name, classes in regions.items()}
    for value, of_class in zip(label_values, counts.T, strict=True):
        row |= {f"{kind}_{value}": float(count) for kind, count in zip(("tp", "fp", "fn"), of_class, strict=True)}
    return row


def paper_dice(cases: pd.DataFrame) -> float:
    """Compute the Dice of the paper: per class over all voxels of the test set, mean over classes with background.

    It exists for comparison with https://arxiv.org/abs/2006.03829, Figure 3.

    Args:
        cases: One row per test case of one run, with the counts of `case_row`.

    Returns:
        Dice in [0, 1].
    """
    return float(_paper_dice(_counts(cases).sum(axis=0)))


def paper_dice_values(cases: pd.DataFrame) -> Floats:
    """Compute jackknife pseudo-values of `paper_dice`.

    Source: see `sslmed.evaluation.jackknife.pseudo_values`.

    Args:
        cases: As in `paper_dice`.

    Returns:
        One value per case, `(cases,)`; their mean is the Dice of the test set.
    """
    counts = _counts(cases)
    pooled = counts.sum(axis=0)
    return pseudo_values(float(_paper_dice(pooled)), _paper_dice(pooled - counts))


def _mask_counts(predicted: "Mask", true: "Mask", *, is_lost: bool = False) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives; one of these if nothing true is left on the grid."""
    hits, size = int((predicted & true).sum()), int(true.sum())
    return hits, int(predicted.sum()) - hits, size - hits or int(is_lost and size == 0)


def _counts(cases: pd.DataFrame) -> Floats:
    """Return tp, fp and fn of every class, `(cases, 3, K)`."""
    values = [column.removeprefix("tp_") for column in map(str, cases.columns) if column.startswith("tp_")]
    return np.stack([cases[[f"{kind}_{value}" for value in values]] for kind in ("tp", "fp", "fn")], axis=1)


def _paper_dice(counts: Floats) -> Floats:
    """Compute the mean Dice over classes of pooled counts `(..., 3, K)`; returns `(...)`."""
    scores: Floats = dice(counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]).mean(axis=-1)
    return scores
