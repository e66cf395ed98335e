"""Measures whether an encoder tells cases apart: how far their features are spread, and along how many directions."""

import torch
from torch import Tensor

ENOUGH_CASES = 8
"""N cases have an effective rank of at most N - 1: with fewer, a low one says little."""


def spread(features: Tensor) -> float:
    """Compute the standard deviation of features over cases, relative to their root mean square: 0 if all are equal.

    Args:
        features: One row per case, `(N, F)`.

    Returns:
        Fraction, about 1 if the mean feature is 0; 0 if all features are 0.
    """
    features = features.double()
    size = features.square().mean(0).sum()
    return float((features.var(0, correction=0).sum() / size).sqrt()) if size > 0 else 0.0


def effective_rank(features: Tensor) -> float:
    """Compute the number of directions in which features vary: the exponential of the entropy of singular values.

    RankMe takes the embeddings as they are. Here their mean is subtracted, as in MONAI's `EmbeddingCollapseMetric`:
    features after a ReLU have a large mean, which would count as the one direction that matters.

    Source: Garrido et al. 2023, https://arxiv.org/abs/2210.02885, equation 1.

    Args:
        features: One row per case, `(N, F)`.

    Returns:
        1 to min(N - 1, F); 0 if all features are equal.
    """
    values = torch.linalg.svdvals(features.double() - features.double().mean(0))
    total = values.sum()
    return float(torch.special.entr(values / total).sum().exp()) if total > 0 else 0.0
