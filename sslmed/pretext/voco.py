"""Volume contrast: predict how much a random crop overlaps each crop of a fixed grid, by the similarity of embeddings.

Source: Wu et al. 2024, https://arxiv.org/abs/2402.17300.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslmed.core.errors import InputError
from sslmed.core.numbers import Amount, Count, Fraction
from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.augmentation import RandomIntensity, apply_intensity
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.patches import cut_patches, grid_corners, random_offsets
from sslmed.pretext.teacher import Teacher

TINY = 1e-6  # as in the authors' code
PUBLISHED_INTENSITY = RandomIntensity(probability=0.1, brightness=0.1, contrast=(1.0, 1.0))


def overlaps(origins: Tensor, bases: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute the fraction of each crop's area that lies in each base crop, in the plane of the first two axes.

    Source: Wu et al. 2024, https://arxiv.org/abs/2402.17300, section 3.2.

    Args:
        origins: First voxels of the random crops, `(B, K, 2)`.
        bases: First voxels of the base crops, `(N, 2)` or `(B, N, 2)`.
        size: Sides of all crops in voxels.

    Returns:
        `(B, K, N)`, in [0, 1].
    """
    distances = (origins[:, :, None] - bases.reshape(-1, 1, *bases.shape[-2:])).abs()
    first, second = (1 - distances[..., axis] / side for axis, side in enumerate(size))
    return first.clamp_min(0) * second.clamp_min(0)


def overlap_loss(predicted: Tensor, actual: Tensor) -> Tensor:
    """Compute the loss of predicted overlaps: of those that are above 0 weighted by them, plus of those that are 0.

    For each case it is the mean of -log(1 - |actual - predicted|), weighted by the actual overlaps, plus the mean of
    squared predictions for crops that do not overlap.

    Source: Wu et al. 2024, https://arxiv.org/abs/2402.17300, equations 3 and 4, as in the authors' code:
    `models/voco_head.py` of https://github.com/Luffy03/VoCo.

    Args:
        predicted: `(B, K, N)`, in [0, 1].
        actual: `(B, K, N)`, in [0, 1].

    Returns:
        The mean over cases, `()`.
    """
    weighted = -actual * torch.log(1 - (actual - predicted).abs() + TINY)
    apart = (actual == 0).float()
    near = weighted.sum((1, 2)) / (actual.sum((1, 2)) + TINY)
    far = (apart * predicted.square()).sum((1, 2)) / (apart.sum((1, 2)) + TINY)
    return (near + far).mean()


def base_similarity(bases: Tensor) -> Tensor:
    """Compute the mean squared positive similarity of different base crops of a case.

    Source: Wu et al. 2024, https://arxiv.org/abs/2402.17300, equation 5, as in the authors' code, where gradients flow
    to the first base crop of each pair only.

    Args:
        bases: Embeddings, `(B, N, E)`.

    Returns:
        The mean over cases and pairs, `()`.
    """
    pairs = positive_cosines(bases, bases.detach()).square().triu(1)
    number = bases.shape[1] * (bases.shape[1] - 1) / 2
    return pairs.sum((1, 2)).mean() / number


def positive_cosines(first: Tensor, second: Tensor) -> Tensor:
    """Compute cosine similarities of `(B, K, E)` and `(B, N, E)`, with negative ones set to 0: `(B, K, N)`."""
    with torch.autocast(first.device.type, enabled=False):  # it would round the similarities
        first, second = (F.normalize(each.float(), dim=-1) for each in (first, second))
        return F.relu(first @ second.transpose(1, 2))


class VoCo(PretextTask[Tensor]):
    """Predicts how much random crops overlap the base crops of a grid, by the similarity of their embeddings.

    The grid is in the plane of the first two axes; crops have the whole length of the third. Base crops of a case
    should not be similar. The embeddings that crops are compared with come from a teacher, whose weights follow the
    student's: in each update, they move a tenth of the way (`momentum`). The loss at chance level is that of embeddings
    which do not tell crops apart: any two, also those of base crops, are equally similar.

    Differences from the authors' code: crops are not resized or turned by quarter turns, and the head is smaller.

    Known shortcuts: a random crop at the place of a base crop has the same voxels, so overlaps can be found by matching
    textures. Crops of air are alike, wherever they are.

    Source: Wu et al. 2024, https://arxiv.org/abs/2402.17300.

    Args:
        encoder: See `PretextTask`. It encodes one crop at a time.
        grid: Base crops per side.
        crops: Random crops per image.
        flip: Probability of flipping an axis of a crop, for each axis.
        intensity: Brightness and contrast of a crop.
        embedding_size: Length of the embedding: above the number of base crops, grid².
        momentum: Fraction of the teacher's weights that an update keeps.
        regularization: Weight of `base_similarity`.
        head: Builds the head that embeds a crop.
        optimization: See `PretextTask`.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(
        self,
        encoder: Encoder,
        grid: int = 4,
        crops: Count = 2,
        flip: Fraction = 0.2,
        intensity: RandomIntensity = PUBLISHED_INTENSITY,
        embedding_size: int = 128,
        momentum: Fraction = 0.9,
        regularization: Amount = 1.0,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        if grid < 2 or crops < 1:
            raise InputError(f"VoCo needs a grid of at least 2 and at least 1 crop, got {grid} and {crops}")
        if embedding_size <= grid**2:
            raise InputError(f"embedding_size must be above the number of base crops, {grid**2}, got {embedding_size}")
        self.grid = grid
        self.crops = crops
        self.flip = flip
        self.intensity = intensity
        self.regularization = regularization
        self.head = head(encoder, 1, embedding_size)
        self.teacher = Teacher((self.encoder, self.head), momentum)

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Cut random crops and base crops out of every image.

        Voxels that the grid leaves over are at random sides of it.

        Args:
            images: `(B, C, *spatial)`.
            generator: See `PretextTask.make_task`.

        Returns:
            The random crops, then the base crops in row-major order, `(B, crops + grid², C, *crop)`; and the overlaps
            `(B, crops, grid²)`.

        Raises:
            InputError: If crops are too small for the encoder.
        """
        self.encoder.check(images)
        plane, rest, device = images.shape[2:4], images.shape[4:], images.device
        size = (plane[0] // self.grid, plane[1] // self.grid)
        if not self.encoder.fits((*size, *rest)):
            raise InputError(
                f"VoCo's grid of {self.grid} per side cuts images of {tuple(images.shape[2:])} voxels into crops of "
                f"{(*size, *rest)}, but the encoder needs sides of at least {self.encoder.minimum_side}: use larger "
                "images, a smaller grid, or an encoder with fewer levels"
            )
        slack = [side - self.grid * step for side, step in zip(plane, size, strict=True)]
        first = random_offsets((len(images), 1), slack, generator, device)
        room = [(self.grid - 1) * step for step in size]
        random = first + random_offsets((len(images), self.crops), room, generator, device)
        bases = first + grid_corners(self.grid, size, device)
        origins = F.pad(torch.cat((random, bases), dim=1), (0, len(rest)))
        crops = cut_patches(images, origins, (*size, *rest))
        return self._augment(crops, generator), overlaps(random, bases, size)

    def _augment(self, crops: Tensor, generator: torch.Generator | None) -> Tensor:
        """Flip crops `(B, P, C, *crop)` and change their intensities, each at random."""
        each = crops.flatten(0, 1)
        flips = torch.rand(each.ndim - 2, len(each), generator=generator, device=each.device) < self.flip
        for axis, flipped in enumerate(flips.unbind(), start=2):
            each = torch.where(flipped.reshape(-1, *(1,) * (each.ndim - 1)), each.flip(axis), each)
        changed = apply_intensity(each, *self.intensity.sample(len(each), each.device, generator))
        return changed.reshape(crops.shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Embed all crops by the student and by the teacher; in training, first move the teacher towards the student.

        Args:
            inputs: `(B, P, C, *crop)`.

        Returns:
            Embeddings of the student and of the teacher, `(B, 2, P, E)`.
        """
        student = self.head(self.encode(inputs))
        with torch.no_grad():
            if self.training:
                self.teacher.follow((self.encoder, self.head))
            encoder, head = self.teacher
            teacher = head(encoder(inputs.flatten(0, 1).to(self.dtype)))
        return torch.stack([each.reshape(*inputs.shape[:2], -1) for each in (student, teacher)], dim=1)

    def predicted_overlaps(self, outputs: Tensor) -> Tensor:
        """Return the similarities `(B, crops, grid²)` of random and base crops, each embedded once by the teacher."""
        student, teacher = outputs.unbind(1)
        first = positive_cosines(student[:, : self.crops], teacher[:, self.crops :])
        second = positive_cosines(teacher[:, : self.crops], student[:, self.crops :])
        return (first + second) / 2

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute `overlap_loss` plus the weighted `base_similarity`, `()`.

        Args:
            outputs: `(B, 2, P, E)`, see `forward`.
            targets: Overlaps, `(B, crops, grid²)`.
        """
        similarity = base_similarity(outputs[:, 0, self.crops :])
        return overlap_loss(self.predicted_overlaps(outputs), targets) + self.regularization * similarity

    def chance_answer(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return embeddings with the same similarity for all pairs of crops: that which costs least, to 0.05."""
        similarities = torch.linspace(0, 0.95, 20, device=outputs.device)
        losses = [
            overlap_loss(each.expand_as(targets), targets) + self.regularization * each.square()
            for each in similarities
        ]
        similarity = similarities[torch.stack(losses).argmin()]
        number = targets.shape[2] + 1
        cosines = similarity + (1 - similarity) * torch.eye(number, device=outputs.device)
        equal = F.pad(torch.linalg.cholesky(cosines), (0, outputs.shape[3] - number))
        return torch.cat((equal[-1:].expand(self.crops, -1), equal[:-1])).expand(outputs.shape)

    def measures(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the mean absolute error of the predicted overlaps, `overlap_error`."""
        return {"overlap_error": (self.predicted_overlaps(outputs) - targets).abs().mean()}

    def answers(self, outputs: Tensor, targets: Tensor) -> list[Answer]:
        """Return the largest overlap of the first random crop of each case, and what was predicted for it."""
        most, where = targets[:, 0].max(1)
        predicted = self.predicted_overlaps(outputs)[:, 0].gather(1, where[:, None])[:, 0]
        return [
            Answer(f"first crop: overlap {overlap:.2f} with base crop {base}, answered {answer:.2f}")
            for overlap, base, answer in zip(most.tolist(), where.tolist(), predicted.tolist(), strict=True)
        ]
