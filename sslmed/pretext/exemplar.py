"""Exemplar: embed an image close to its augmented version, and far from another image.

Sources: Dosovitskiy et al. 2014, https://arxiv.org/abs/1406.6909; with a triplet loss Taleb et al. 2020, section 3,
https://arxiv.org/abs/2006.03829.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.numbers import Count, Positive
from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, linear_head
from sslmed.learning.augmentation import RandomAffine, RandomIntensity, apply_affine, apply_intensity
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask

PUBLISHED_INTENSITY = RandomIntensity(probability=0.5, brightness=0.125, contrast=(0.5, 1.5))
PUBLISHED_AFFINE = RandomAffine(flip=0.5, quarter_turns=0.25, rotation=0.25, max_angle=180, zoom=0.15, max_zoom=0.2)


def triplet_loss(embeddings: Tensor, margin: float) -> Tensor:
    """Compute the triplet loss: the mean over the batch of max(0, |a - p| - |a - n| + margin).

    Source: Schroff et al. 2015, https://arxiv.org/abs/1503.03832, with distances that are not squared.

    Args:
        embeddings: Embeddings of anchor a, positive p and negative n, `(B, 3, E)`.
        margin: Minimum difference of the two distances without a loss.

    Returns:
        The loss, `()`.
    """
    anchor, positive, negative = embeddings.unbind(1)
    return F.triplet_margin_loss(anchor, positive, negative, margin)


class Exemplar(PretextTask[None]):
    """Embeds an augmented image (anchor) closer to the original (positive) than to another case (negative).

    The authors' code has three heads with separate weights, which can solve the task without the images. Here one
    head embeds all three images, embeddings have length 1, and distances can exceed the margin. The loss at chance
    level, where all embeddings are equal, is the margin.

    Sources: Dosovitskiy et al. 2014, https://arxiv.org/abs/1406.6909; with a triplet loss Taleb et al. 2020, section 3,
    https://arxiv.org/abs/2006.03829.

    Args:
        encoder: See `PretextTask`.
        embedding_size: Length of the embedding.
        margin: Distance by which the negative should be farther than the positive. Distances are in [0, 2].
        affine: Flips, rotations and zooms of the anchor.
        intensity: Brightness and contrast of the anchor.
        head: Builds the head that embeds an image.
        optimization: See `PretextTask`.
    """

    least_cases = 2

    def __init__(
        self,
        encoder: Encoder,
        embedding_size: Count = 128,
        margin: Positive = 0.5,
        affine: RandomAffine = PUBLISHED_AFFINE,
        intensity: RandomIntensity = PUBLISHED_INTENSITY,
        head: HeadCallable = linear_head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        self.margin = margin
        self.affine = affine
        self.intensity = intensity
        self.head = head(encoder, 1, embedding_size)

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, None]:
        """Make a triplet from every image.

        Args:
            images: `(B, C, *spatial)`, each from a different case. B over all ranks must be at least 2.
            generator: See `PretextTask.make_task`.

        Returns:
            Anchors, positives and negatives, `(B, 3, C, *spatial)`, and no targets.

        Raises:
            InputError: If there is no other case for the negative.
        """
        self.check_cases(images)
        everyone = self.of_all_ranks(images)
        spatial_dims = images.ndim - 2
        moves = self.affine.sample(len(images), spatial_dims, images.device, generator)
        anchors = apply_affine(images, moves)
        anchors = apply_intensity(anchors, *self.intensity.sample(len(images), images.device, generator))
        shift = torch.randint(1, len(everyone), (), generator=generator, device=images.device)
        negatives = everyone[(torch.arange(len(images), device=images.device) - shift) % len(everyone)]
        return torch.stack((anchors, images, negatives), dim=1), None

    def read(self, maps: list[Tensor]) -> Tensor:
        """Compute the embeddings `(B, 3, E)` of length 1 from the feature maps of `(B, 3)` images."""
        embeddings = F.normalize(super().read(maps), dim=1)
        return embeddings.reshape(-1, 3, embeddings.shape[-1])

    def loss(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002 - the outputs are compared
        """Compute the `triplet_loss` `()` of embeddings `(B, 3, E)`."""
        return triplet_loss(outputs, self.margin)

    def measures(self, outputs: Tensor, targets: None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the fraction of triplets in the right order and the spread of embeddings `(B, 3, E)`.

        Returns:
            `accuracy`, and `embedding_std`: 0 if the embeddings have collapsed, 1 if they are orthogonal.
        """
        anchor, positive, negative = outputs.unbind(1)
        in_order = F.pairwise_distance(anchor, positive) < F.pairwise_distance(anchor, negative)
        return {"accuracy": in_order.float().mean(), "embedding_std": positive.std(0).norm()}

    def answers(self, outputs: Tensor, targets: None = None) -> list[Answer]:  # noqa: ARG002
        """Return the distances of the augmented image to its original and to another case."""
        anchor, positive, negative = outputs.float().unbind(1)
        near, far = (F.pairwise_distance(anchor, other).tolist() for other in (positive, negative))
        return [
            Answer(f"{same:.2f} away from its original, {other:.2f} from another case")
            for same, other in zip(near, far, strict=True)
        ]
