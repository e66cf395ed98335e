"""Ordinal grades as cumulative bits: bit k says whether the grade is above k.

The encoding is that of Frank and Hall 2001, https://doi.org/10.1007/3-540-44795-4_13, and of Cheng 2007,
https://arxiv.org/abs/0704.1028. The paper's code (`data/kaggle_retina_data.py` of
https://github.com/HealthML/self-supervised-3d-tasks) uses K bits for K grades; the first says whether the grade is at
least 0. That bit is always 1 and teaches nothing, so K grades have K − 1 bits here. Every pattern of bits then decodes
to one of the K grades. (The published rule, number of bits minus one, gives −1 where all bits are off, and Cohen's
kappa over the known grades then ignores the case.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def grade_bits(grades: Tensor, num_classes: int) -> Tensor:
    """Encode grades as bits: grade g becomes g ones, then zeros.

    Source: Cheng 2007, https://arxiv.org/abs/0704.1028, section 2, without the first bit, which is always 1.

    Args:
        grades: Integers from 0 to K − 1, `(B,)`.
        num_classes: Number of grades K.

    Returns:
        0.0 or 1.0, `(B, K − 1)`.
    """
    return (grades[:, None] > torch.arange(num_classes - 1, device=grades.device)).float()


def ordinal_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """Compute the mean binary cross-entropy of the bits.

    Source: `data/kaggle_retina_data.py` of https://github.com/HealthML/self-supervised-3d-tasks, without the first bit.

    Args:
        logits: Logits of the bits, `(B, K − 1)`.
        grades: Integers from 0 to K − 1, `(B,)`.

    Returns:
        Mean over cases and bits, in nats, a scalar.
    """
    return F.binary_cross_entropy_with_logits(logits, grade_bits(grades, logits.shape[1] + 1))


def class_probabilities(logits: Tensor) -> Tensor:
    """Convert the logits of the bits to probabilities of the grades.

    P(grade = k) = P(grade > k − 1) − P(grade > k): Frank and Hall 2001, https://doi.org/10.1007/3-540-44795-4_13,
    section 2. A network can give "above 1" a higher probability than "above 0". A running minimum makes the
    probabilities non-increasing first, so that no difference is negative.

    Args:
        logits: Logits of the bits, `(B, K − 1)`.

    Returns:
        `(B, K)`; each row sums to 1.
    """
    above = logits.sigmoid().cummin(dim=1).values
    certain = torch.ones_like(above[:, :1])  # every grade is above −1, none above K − 1
    return torch.cat((certain, above), dim=1) - torch.cat((above, torch.zeros_like(certain)), dim=1)


def decode(probabilities: Tensor) -> Tensor:
    """Decode grades: the median of their probabilities, which is not always the most probable grade.

    Of one network it is the number of bits that are on (above 0.5) before the first that is off.

    Args:
        probabilities: Of the grades, `(B, K)`.

    Returns:
        Grades from 0 to K − 1, `(B,)`.
    """
    return (1 - probabilities.cumsum(dim=1)[:, :-1] > 0.5).sum(dim=1)
