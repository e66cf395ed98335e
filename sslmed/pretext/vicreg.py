"""VICReg: embed two views of an image alike, with embeddings kept apart by their variance and covariance.

Source: Bardes et al. 2022, https://arxiv.org/abs/2105.04906.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.numbers import Amount, Count
from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer
from sslmed.pretext.views import RandomViews, TwoViewsTask

SMALLEST_VARIANCE = 1e-4  # as in the authors' code


def spread_loss(embeddings: Tensor) -> Tensor:
    """Compute how far standard deviations are below 1: the mean over dimensions of max(0, 1 - std).

    Source: Bardes et al. 2022, https://arxiv.org/abs/2105.04906, equations 1 and 2.

    Args:
        embeddings: `(N, E)`.

    Returns:
        The loss, `()`.
    """
    return F.relu(1 - (embeddings.var(0) + SMALLEST_VARIANCE).sqrt()).mean()


def covariance_loss(embeddings: Tensor) -> Tensor:
    """Compute the sum of squared covariances of different dimensions, divided by the number of dimensions.

    Source: Bardes et al. 2022, https://arxiv.org/abs/2105.04906, equations 3 and 4.

    Args:
        embeddings: `(N, E)`.

    Returns:
        The loss, `()`.
    """
    centred = embeddings - embeddings.mean(0)
    covariance = centred.T @ centred / (len(embeddings) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / embeddings.shape[1]


def vicreg_loss(embeddings: Tensor, invariance: float, variance: float, covariance: float) -> Tensor:
    """Compute the weighted sum of invariance, variance and covariance terms.

    Source: Bardes et al. 2022, https://arxiv.org/abs/2105.04906, equation 6, with the scales of the authors' code,
    https://github.com/facebookresearch/vicreg: squared distances are averaged over dimensions, variance terms over the
    two views, covariance terms are added.

    Args:
        embeddings: Embeddings of two views of every case, `(B, 2, E)`.
        invariance: Weight of the squared distance of the two views.
        variance: Weight of `spread_loss`.
        covariance: Weight of `covariance_loss`.

    Returns:
        The loss, `()`.
    """
    first, second = embeddings.float().unbind(1)
    spread = (spread_loss(first) + spread_loss(second)) / 2
    correlated = covariance_loss(first) + covariance_loss(second)
    return invariance * F.mse_loss(first, second) + variance * spread + covariance * correlated


class VICReg(TwoViewsTask):
    """Embeds two random views of an image alike, without negatives.

    Every dimension must vary over the batch, and no two may vary together. The loss at chance level, where all
    embeddings are equal, is 0.99 times the weight of the variance. The covariance of a batch of B cases has a rank of
    B - 1, so embeddings that are much longer than that cannot be uncorrelated: the default is short, for batches of a
    few volumes (published: 8192 for batches of 2048).

    Known shortcuts: see `SimCLR`.

    Source: Bardes et al. 2022, https://arxiv.org/abs/2105.04906.

    Args:
        encoder: See `PretextTask`.
        views: How two views of an image differ.
        embedding_size: Length of the embedding.
        invariance: Weight of the invariance term.
        variance: Weight of the variance term.
        covariance: Weight of the covariance term.
        head: Builds the head that embeds an image.
        optimization: See `PretextTask`.
    """

    def __init__(
        self,
        encoder: Encoder,
        views: RandomViews = RandomViews(),  # noqa: B008 - frozen
        embedding_size: Count = 16,
        invariance: Amount = 25.0,
        variance: Amount = 25.0,
        covariance: Amount = 1.0,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, views, embedding_size, head, optimization)
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance

    def loss(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002 - the outputs are compared
        """Compute the `vicreg_loss` `()` over the cases of all ranks; outputs are `(B, 2, E)`."""
        with torch.autocast(outputs.device.type, enabled=False):  # it would round the covariances
            return vicreg_loss(self.of_all_ranks(outputs), self.invariance, self.variance, self.covariance)

    def measures(self, outputs: Tensor, targets: None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the mean standard deviation of embeddings `(B, 2, E)`: `embedding_std`, 0 if they have collapsed."""
        return {"embedding_std": outputs[:, 0].float().std(0).mean()}

    def answers(self, outputs: Tensor, targets: None = None) -> list[Answer]:  # noqa: ARG002
        """Return the distance of the two views, and that to the nearest first view of another case."""
        first, second = outputs.float().unbind(1)
        others = torch.cdist(first, first).fill_diagonal_(torch.inf).amin(1).tolist()
        own = (first - second).norm(dim=1).tolist()
        return [
            Answer(f"{same:.2f} apart, the nearest other case {far:.2f}") for same, far in zip(own, others, strict=True)
        ]
