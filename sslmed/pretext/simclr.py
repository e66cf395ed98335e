"""SimCLR: recognise the other view of an image among the views of all cases of the batch.

Source: Chen et al. 2020, https://arxiv.org/abs/2002.05709.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.numbers import Count, Positive
from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer
from sslmed.pretext.views import RandomViews, TwoViewsTask


def similarities(embeddings: Tensor) -> Tensor:
    """Compute the cosine similarities of all views; that of a view with itself is minus infinity.

    Args:
        embeddings: `(B, 2, E)`.

    Returns:
        `(2B, 2B)`; views 2i and 2i + 1 are of case i.
    """
    with torch.autocast(embeddings.device.type, enabled=False):  # it would round the similarities
        views = F.normalize(embeddings.float().flatten(0, 1), dim=1)
        products = views @ views.T
    return products.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)


def other_views(number: int, device: torch.device) -> Tensor:
    """Return the number of each view's other view, `(number,)`: 1, 0, 3, 2 and so on."""
    return torch.arange(number, device=device).reshape(-1, 2).flip(1).flatten()


def nt_xent(embeddings: Tensor, temperature: float) -> Tensor:
    """Compute the normalised, temperature-scaled cross-entropy of recognising each view's other view.

    Source: Chen et al. 2020, https://arxiv.org/abs/2002.05709, equation 1 and algorithm 1.

    Args:
        embeddings: Embeddings of two views of every case, `(B, 2, E)`.
        temperature: Divides the cosine similarities.

    Returns:
        The mean over all 2B views, `()`.
    """
    logits = similarities(embeddings) / temperature
    return F.cross_entropy(logits, other_views(len(logits), logits.device))


class SimCLR(TwoViewsTask):
    """Embeds two random views of an image close to each other, and far from the views of other cases.

    The loss at chance level, where all embeddings are equal, is ln(2B - 1) for batches of B cases: it depends on the
    size of the batch, of all devices.

    Known shortcuts: overall brightness, which `views.intensity` must hide, and the shape of a constant background (of
    photographs: the black corners), which crops must cut away.

    Source: Chen et al. 2020, https://arxiv.org/abs/2002.05709.

    Args:
        encoder: See `PretextTask`.
        views: How two views of an image differ.
        embedding_size: Length of the embedding.
        temperature: Divides the cosine similarities (published: 0.5 for small, 0.1 for large batches and images).
        head: Builds the head that embeds an image.
        optimization: See `PretextTask`.
    """

    def __init__(
        self,
        encoder: Encoder,
        views: RandomViews = RandomViews(),  # noqa: B008 - frozen
        embedding_size: Count = 128,
        temperature: Positive = 0.5,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, views, embedding_size, head, optimization)
        self.temperature = temperature

    def loss(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002 - the outputs are compared
        """Compute `nt_xent` `()` over the cases of all ranks; outputs are `(B, 2, E)`."""
        return nt_xent(self.of_all_ranks(outputs), self.temperature)

    def measures(self, outputs: Tensor, targets: None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Return how often the other view is the most similar, `accuracy`, and the spread of embeddings `(B, 2, E)`.

        Returns:
            `accuracy`, and `embedding_std`: 0 if the embeddings have collapsed, 1 if they are orthogonal.
        """
        similar = similarities(outputs).argmax(1)
        right = similar == other_views(len(similar), similar.device)
        return {"accuracy": right.float().mean(), "embedding_std": F.normalize(outputs[:, 0], dim=1).std(0).norm()}

    def answers(self, outputs: Tensor, targets: None = None) -> list[Answer]:  # noqa: ARG002
        """Return how similar the two views are, and how many views of other cases are more similar."""
        of_pairs = similarities(outputs.float())[::2]
        own = of_pairs[range(len(outputs)), range(1, 2 * len(outputs), 2)]
        closer = (of_pairs > own[:, None]).sum(1)
        return [
            Answer(
                f"similarity {similarity:.2f}; of {of_pairs.shape[1] - 2} views of others, {number} are more similar"
            )
            for similarity, number in zip(own.tolist(), closer.tolist(), strict=True)
        ]
