"""The best answers that do not depend on the image: the frequencies of the classes. Their loss is that of guessing."""

import torch
from torch import Tensor

LEAST = 1e-6
"""Frequency of a class that does not occur, so that its logarithm is finite."""


def guessed_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Return logits whose softmax is the frequency of each class, which minimises the cross-entropy.

    Args:
        labels: Class indices, of any shape.
        num_classes: Number of classes K.

    Returns:
        `(K,)`.
    """
    return _frequencies(labels, num_classes).clamp(min=LEAST).log()


def guessed_grades(labels: Tensor, num_classes: int) -> Tensor:
    """Return the same for `sslmed.downstream.ordinal`: the log odds that a grade is above each threshold.

    Args:
        labels: Class indices, of any shape.
        num_classes: Number of grades K.

    Returns:
        `(K - 1,)`.
    """
    above = 1 - _frequencies(labels, num_classes).cumsum(0)[:-1]
    return above.logit(LEAST)


def _frequencies(labels: Tensor, num_classes: int) -> Tensor:
    return torch.bincount(labels.flatten().long(), minlength=num_classes) / labels.numel()
