"""Exemplar: an image and its augmented version belong together, another image does not.

https://arxiv.org/abs/2006.03829.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.errors import InputError
from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, linear_head
from sslmed.learning.augmentation import RandomAffine, RandomIntensity, apply_affine, apply_intensity
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask

PUBLISHED_INTENSITY = RandomIntensity(probability=0.5, brightness=0.125, contrast=(0.5, 1.5))
PUBLISHED_AFFINE = RandomAffine(flip=0.5, quarter_turns=0.25, rotation=0.25, max_angle=180, zoom=0.15, max_zoom=0.2)


def triplet_loss(embeddings: Tensor, margin: float) -> Tensor:
    """Mean over the batch of max(0, |a - p| - |a - n| + margin), for embeddings `(B, 3, E)` of a, p, n."""
    anchor, positive, negative = embeddings.unbind(1)
    return F.triplet_margin_loss(anchor, positive, negative, margin)


class Exemplar(PretextTask[None]):
    """Embed an augmented image (anchor) nearer to the original (positive) than to another case (negative).

    Departs from the authors' code, whose three heads, each with its own weights, can solve the task without looking at
    the images: here one head serves all three, embeddings have length 1, and distances can exceed the margin. By
    chance, all embeddings being equal, the loss is the margin.

    Args:
        encoder: See `PretextTask`.
        embedding_size: Length of the embedding.
        margin: By how much the negative should be farther than the positive; distances run from 0 to 2.
        affine: Flips, rotations and zooms of the anchor.
        intensity: Brightness and contrast of the anchor.
        head: Builds what embeds.
        optimization: See `PretextTask`.
    """

    def __init__(
        self,
        encoder: Encoder,
        embedding_size: int = 128,
        margin: float = 0.5,
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
        """Form a triplet for every image.

        Args:
            images: `(B, C, *spatial)`, each of another case; of all ranks together, B is at least 2.
            generator: See `PretextTask.make_task`.

        Returns:
            Anchors, positives, negatives, `(B, 3, C, *spatial)`; no targets.

        Raises:
            InputError: If there is no other case to be the negative.
        """
        everyone = self.of_all_ranks(images)
        if len(everyone) < 2:
            msg = (
                f"exemplar takes its negatives from other cases of the batch and needs at least 2, got {len(everyone)}"
            )
            raise InputError(msg)
        spatial_dims = images.ndim - 2
        moves = self.affine.sample(len(images), spatial_dims, images.device, generator)
        anchors = apply_affine(images, moves)
        anchors = apply_intensity(anchors, *self.intensity.sample(len(images), images.device, generator))
        shift = torch.randint(1, len(everyone), (), generator=generator, device=images.device)
        negatives = everyone[(torch.arange(len(images), device=images.device) - shift) % len(everyone)]
        return torch.stack((anchors, images, negatives), dim=1), None

    def forward(self, inputs: Tensor) -> Tensor:
        """Embeddings `(B, 3, E)` of length 1 for inputs `(B, 3, C, *spatial)`."""
        embeddings = F.normalize(super().forward(inputs), dim=1)
        return embeddings.reshape(*inputs.shape[:2], -1)

    def loss(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002 - the outputs are compared
        """See `triplet_loss`."""
        return triplet_loss(outputs, self.margin)

    def measures(self, outputs: Tensor, targets: None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Fraction of triplets in the right order, and spread of the embeddings: 0 if collapsed, 1 if orthogonal."""
        anchor, positive, negative = outputs.unbind(1)
        in_order = F.pairwise_distance(anchor, positive) < F.pairwise_distance(anchor, negative)
        return {"accuracy": in_order.float().mean(), "embedding_std": positive.std(0).norm()}

    def answers(self, outputs: Tensor, targets: None = None) -> list[Answer]:  # noqa: ARG002
        """How far the augmented image is from its original, and from another case."""
        anchor, positive, negative = outputs.float().unbind(1)
        near, far = (F.pairwise_distance(anchor, other).tolist() for other in (positive, negative))
        return [
            Answer(f"{same:.2f} away from its original, {other:.2f} from another case")
            for same, other in zip(near, far, strict=True)
        ]
