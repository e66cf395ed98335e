"""Ordinal grades as cumulative bits: bit k asks whether the grade is above k.

Source: `data/kaggle_retina_data.py` of https://github.com/HealthML/self-supervised-3d-tasks. There K grades have K
bits, the first of which asks whether the grade is at least 0. It is always 1 and teaches nothing, so K grades have
K − 1 bits here, and whatever they are, they say one of the K grades. (Counting bits less one, as published, makes −1 of
a case whose bits are all off, and Cohen's kappa over the known grades then leaves that case out.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def grade_bits(grades: Tensor, num_classes: int) -> Tensor:
    """Write grades `(B,)` in 0..K−1 as bits `(B, K − 1)`: as many ones as the grade says, then zeros."""
    return (grades[:, None] > torch.arange(num_classes - 1, device=grades.device)).float()


def ordinal_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """Mean binary cross-entropy of the bits' logits `(B, K − 1)`, given grades `(B,)`."""
    return F.binary_cross_entropy_with_logits(logits, grade_bits(grades, logits.shape[1] + 1))


def class_probabilities(logits: Tensor) -> Tensor:
    """Turn the bits' logits `(B, K − 1)` into probabilities of the grades `(B, K)`, which sum to 1.

    A network may answer that the grade is above 1 more surely than above 0. The running minimum makes the probabilities
    of being above a grade fall, so that none of their differences is negative.
    """
    above = logits.sigmoid().cummin(dim=1).values
    certain = torch.ones_like(above[:, :1])  # above −1; and above K − 1 is impossible
    return torch.cat((certain, above), dim=1) - torch.cat((above, torch.zeros_like(certain)), dim=1)


def decode(logits: Tensor) -> Tensor:
    """Read grades `(B,)` off the bits' logits `(B, K − 1)`: how many bits are on before the first that is off.

    This is the median of `class_probabilities`, not always the most probable grade.
    """
    return (logits > 0).cumprod(dim=1).sum(dim=1)
