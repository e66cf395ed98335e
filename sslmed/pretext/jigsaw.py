"""Jigsaw puzzles: predict which of a fixed set of permutations has shuffled the patches of an image.

Sources: in 2-D Noroozi and Favaro 2016, https://arxiv.org/abs/1603.09246; in 3-D Taleb et al. 2020, section 3,
https://arxiv.org/abs/2006.03829.
"""

import itertools
import math

import torch
from torch import Tensor

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count, Index, Seed
from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import ClassificationTask
from sslmed.pretext.patches import GRID, check_jitter, cut_cells

CANDIDATES = 10_000
"""Number of random candidates if there are too many permutations to try all."""


def far_permutations(count: int, length: int, seed: int) -> Tensor:
    """Choose permutations that differ from each other in as many places as possible.

    The choice is greedy. The first permutation is random. Each next one is the candidate with the largest minimum
    Hamming distance to those chosen; ties are resolved by the mean distance. The candidates are all permutations if
    there are few, else distinct random ones. 100 permutations differ in at least 24 of 27 places, or 6 of 9 (those in
    the authors' code: 19 and 2).

    Source: Noroozi and Favaro 2016, https://arxiv.org/abs/1603.09246, algorithm 1, with another order of candidates.

    Args:
        count: Number of permutations.
        length: Number of elements permuted.
        seed: Seed of the choice.

    Returns:
        Permutations `(count, length)`, int64, all different.

    Raises:
        InputError: If there are fewer than `count` permutations.
    """
    if not 1 <= count <= math.factorial(length):
        raise InputError(f"cannot choose {count} of the {math.factorial(length)} permutations of {length} patches")
    generator = torch.Generator().manual_seed(seed)
    wanted = max(CANDIDATES, 4 * count)
    if math.factorial(length) <= wanted:
        candidates = torch.tensor(list(itertools.permutations(range(length))))
    else:
        candidates = torch.rand(wanted, length, generator=generator).argsort(1)
        candidates = torch.unique(candidates, dim=0)
    chosen = [int(torch.randint(len(candidates), (), generator=generator))]
    smallest, total = torch.full((len(candidates),), length), torch.zeros(len(candidates))
    while len(chosen) < count:
        distance = (candidates != candidates[chosen[-1]]).sum(1)
        smallest = smallest.minimum(distance)
        total += distance
        chosen.append(int((smallest + total / (count * length)).argmax()))  # the mean resolves ties
    return candidates[chosen]


class Jigsaw(ClassificationTask):
    """Predicts the permutation of the patches of a 3-per-side grid (27 patches in 3-D, 9 in 2-D).

    Sources: in 2-D Noroozi and Favaro 2016, https://arxiv.org/abs/1603.09246; in 3-D Taleb et al. 2020, section 3,
    https://arxiv.org/abs/2006.03829.

    Args:
        encoder: See `PretextTask`. It encodes one patch at a time.
        num_permutations: Number of classes.
        jitter: How much smaller than its cell a patch is, in voxels (published: 3 of 42 in 3-D, 8 of 74 and 4 of 42 in
            2-D); by default a tenth of the cell, but at least 1.
        permutation_seed: Seed of the choice of permutations.
        centred_validation: In validation, cut patches from the middle of their cells, as published; else at random.
        head: Builds the classifier.
        optimization: See `PretextTask`.

    Attributes:
        permutations: `(num_permutations, P)`. The i-th patch of a puzzle of class t is cell `permutations[t, i]`.

    Raises:
        InputError: If `jitter` is negative, or there are fewer than `num_permutations` permutations.
    """

    permutations: Tensor

    def __init__(
        self,
        encoder: Encoder,
        num_permutations: Count = 100,
        jitter: Index | None = None,
        permutation_seed: Seed = 0,
        centred_validation: bool = False,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        num_patches = GRID**encoder.spatial_dims
        super().__init__(encoder, num_patches, num_permutations, head, optimization)
        self.jitter = check_jitter(jitter)
        self.centred_validation = centred_validation
        self.register_buffer("permutations", far_permutations(num_permutations, num_patches, permutation_seed))

    def class_name(self, index: int) -> str:
        """Name an order of the patches, as `order 17`."""
        return f"order {index}"

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Cut every image into patches, and shuffle them by a random permutation.

        In evaluation mode with `centred_validation`, patches are cut from the middle of their cells.

        Args:
            images: `(B, C, *spatial)`.
            generator: See `PretextTask.make_task`.

        Returns:
            The shuffled patches `(B, P, C, *patch)` and the classes, i.e. indices of permutations, `(B,)`.

        Raises:
            InputError: If the patches are too small for the encoder.
        """
        self.encoder.check(images)
        targets = torch.randint(self.num_classes, (len(images),), generator=generator, device=images.device)
        cells = self.permutations[targets.to(self.permutations.device)].to(images.device)
        centred = self.centred_validation and not self.training
        return cut_cells(images, cells, self.jitter, self.encoder, generator, centred=centred), targets
