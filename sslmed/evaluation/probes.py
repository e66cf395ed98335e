"""Probes: how well a linear map, or the nearest neighbours, read labels from the features of a frozen encoder.

All are in closed form, so that they are cheap, deterministic, and have no settings to tune.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

NEIGHBOURS = 5
TINY = 1e-6  # added to standard deviations: features may be constant


class LinearMap(NamedTuple):
    """Holds an affine map of features: `features @ weight + bias`.

    Attributes:
        weight: `(F, K)`.
        bias: `(K,)`.
    """

    weight: Tensor
    bias: Tensor


def ridge(features: Tensor, targets: Tensor, weights: Tensor) -> LinearMap:
    """Fit targets by weighted ridge regression on standardised features.

    The penalty is F / N of the features' variance, so that it matters only where features are many and samples few.

    Source: Hoerl and Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634.

    Args:
        features: One row per sample, `(N, F)`.
        targets: `(N, K)`.
        weights: Weight of each sample, `(N,)`.

    Returns:
        The map of features as they are, not standardised.
    """
    features, targets = features.double(), targets.double()
    weights = (weights / weights.sum()).double()[:, None]
    mean, target_mean = (weights * features).sum(0), (weights * targets).sum(0)
    scale = (weights * (features - mean).square()).sum(0).sqrt() + TINY
    scaled = (features - mean) / scale
    penalty = features.shape[1] / len(features) * torch.eye(features.shape[1]).to(features)
    solved = torch.linalg.solve(scaled.T @ (weights * scaled) + penalty, scaled.T @ (weights * (targets - target_mean)))
    weight = solved / scale[:, None]
    return LinearMap(weight.float(), (target_mean - mean @ weight).float())


def regression_r2(train: Tensor, values: Tensor, features: Tensor, truth: Tensor) -> float:
    """Score a ridge regression of values.

    Args:
        train: Features of training cases, `(N, F)`.
        values: Their values, `(N,)`.
        features: Features of other cases, `(M, F)`.
        truth: Their values, `(M,)`.

    Returns:
        Fraction of the squared distance to the training cases' mean that is explained: 1 is perfect, 0 that mean.
    """
    fitted = ridge(train, values[:, None], torch.ones_like(values))
    predicted = (features @ fitted.weight + fitted.bias)[:, 0]
    return 1 - float((truth - predicted).square().sum() / (truth - values.mean()).square().sum())


def linear_accuracy(train: Tensor, classes: Tensor, features: Tensor, truth: Tensor, num_classes: int) -> float:
    """Score a linear classifier, fitted by `ridge` on indicators of the classes with equal weight for each.

    Args:
        train: Features of training cases, `(N, F)`.
        classes: Their class indices, `(N,)`.
        features: Features of other cases, `(M, F)`.
        truth: Their class indices, `(M,)`.
        num_classes: Number of classes, K.

    Returns:
        Balanced accuracy, the mean over the classes in `truth` of the fraction that is recognised: 1 / K is chance.
    """
    fitted = ridge(train, F.one_hot(classes, num_classes), 1 / torch.bincount(classes)[classes])
    return _balanced_accuracy(features @ fitted.weight + fitted.bias, truth, num_classes)


def neighbours_accuracy(train: Tensor, classes: Tensor, features: Tensor, truth: Tensor, num_classes: int) -> float:
    """Score the vote of the nearest training cases, by the cosine of their features around the training mean.

    Source: Wu et al. 2018, https://arxiv.org/abs/1805.01978, section 3.4, with 5 neighbours of equal weight, as there
    are few cases.

    Args:
        train: See `linear_accuracy`.
        classes: See `linear_accuracy`.
        features: See `linear_accuracy`.
        truth: See `linear_accuracy`.
        num_classes: See `linear_accuracy`.

    Returns:
        See `linear_accuracy`.
    """
    mean = train.mean(0)
    cosines = F.normalize(features - mean) @ F.normalize(train - mean).T
    nearest = cosines.topk(min(NEIGHBOURS, len(train))).indices
    return _balanced_accuracy(F.one_hot(classes, num_classes)[nearest].float().mean(1), truth, num_classes)


def _balanced_accuracy(scores: Tensor, truth: Tensor, num_classes: int) -> float:
    # torchmetrics' own mean counts a class that no case has as 0, if one is taken for it.
    of_classes = multiclass_accuracy(scores, truth, num_classes, average=None)
    return float(of_classes[torch.bincount(truth, minlength=num_classes) > 0].mean())


def features_at(maps: Sequence[Tensor], voxels: Tensor, sides: Sequence[int]) -> Tensor:
    """Read the feature maps of one image, interpolated to the size of the image, at some of its voxels.

    Args:
        maps: `(1, C_i, *spatial_i)` per level.
        voxels: Indices of voxels, `(N, d)`.
        sides: Sides of the image.

    Returns:
        `(N, sum of C_i)`.
    """
    places = (2 * voxels + 1) / torch.tensor([*sides], device=voxels.device) - 1
    grid = places.flip(1).reshape(1, *[1] * (len(sides) - 1), len(voxels), len(sides))  # the last axis first
    sampled = [F.grid_sample(each.float(), grid, padding_mode="border", align_corners=False) for each in maps]
    return torch.cat([each.flatten(2)[0].T for each in sampled], dim=1)


def segment(maps: Sequence[Tensor], fitted: LinearMap, sides: Sequence[int]) -> Tensor:
    """Classify every voxel by one linear layer on feature maps that are interpolated to the size of the image.

    The layer is applied before interpolation, which is the same and needs little memory.

    Args:
        maps: `(B, C_i, *spatial_i)` per level.
        fitted: The layer, for the channels of all levels.
        sides: Sides of the images.

    Returns:
        Class indices, `(B, *sides)`.
    """
    parts = torch.split(fitted.weight, [each.shape[1] for each in maps])
    mode = "bilinear" if len(sides) == 2 else "trilinear"
    logits = [
        F.interpolate(torch.einsum("bf...,fk->bk...", each.float(), part), tuple(sides), mode=mode)
        for each, part in zip(maps, parts, strict=True)
    ]
    scores = torch.stack(logits).sum(0) + fitted.bias.reshape(-1, *[1] * len(sides))
    return scores.max(1).indices
