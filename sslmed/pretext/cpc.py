"""Contrastive predictive coding: predict the embeddings of patches from those of earlier patches along the first axis.

Sources: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748; in 3-D Taleb et al. 2020, section 3,
https://arxiv.org/abs/2006.03829; in 2-D Hénaff et al. 2019, https://arxiv.org/abs/1905.09272.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count, Fraction, Positive
from sslmed.encoders import Encoder
from sslmed.encoders.heads import HeadCallable, linear_head
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.patches import cut_patches, grid_cells, grid_corners, random_offsets

GRID = {2: 5, 3: 4}
"""Published number of patches per side, by the number of spatial dimensions."""

Objective = Literal["infonce", "bce"]


def context_cells(grid: int, dims: int, rows: int) -> Tensor:
    """List the context cells of each column: an inverted pyramid along the first axis.

    Row r has the cells up to `rows - 1 - r` steps around the column, mirrored at the border of the grid. The last row
    has only the column's own cell.

    Source: Taleb et al. 2020, section 3, https://arxiv.org/abs/2006.03829.

    Args:
        grid: Patches per side.
        dims: 2 or 3.
        rows: Number of context rows.

    Returns:
        Row-major cell numbers `(columns, L)`, from the first row to the last, with columns = grid ** (dims - 1).
    """
    cells = torch.arange(grid**dims).reshape((grid,) * dims)
    columns = grid_cells(grid, dims - 1)
    context = []
    for row, radius in enumerate(reversed(range(rows))):
        near = columns[:, None] + grid_cells(2 * radius + 1, dims - 1) - radius
        near = grid - 1 - (grid - 1 - near.abs()).abs()
        context.append(cells[row][near.unbind(-1)])
    return torch.cat(context, dim=1)


def future_cells(grid: int, dims: int, first_row: int) -> Tensor:
    """List the cells to predict in each column.

    Args:
        grid: Patches per side.
        dims: 2 or 3.
        first_row: First row to predict.

    Returns:
        Row-major cell numbers `(columns, S)`, S = grid - first_row.
    """
    return torch.arange(grid**dims).reshape(grid, -1)[first_row:].T


def info_nce(predicted: Tensor, actual: Tensor, temperature: float) -> Tensor:
    """Compute the InfoNCE loss: recognise each actual embedding among those of the same step.

    The candidates are the embeddings of that step in all columns of all cases. The score is the cosine similarity
    divided by the temperature, instead of a bilinear form.

    Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, equation 4.

    Args:
        predicted: Predicted embeddings, `(B, columns, S, E)`.
        actual: Actual embeddings, `(B, columns, S, E)`.
        temperature: Divides the cosine similarities.

    Returns:
        The mean over cases, columns and steps, `()`.
    """
    logits = similarities(predicted, actual).div(temperature).flatten(0, 1)
    return F.cross_entropy(logits, torch.arange(logits.shape[1], device=logits.device).repeat(predicted.shape[2]))


def similarities(predicted: Tensor, actual: Tensor) -> Tensor:
    """Compute the cosine similarities of predicted and actual embeddings in each step.

    Args:
        predicted: `(B, columns, S, E)`.
        actual: `(B, columns, S, E)`.

    Returns:
        `(S, N, N)` with N = B · columns; rows are predicted, columns are actual embeddings.
    """
    with torch.autocast(predicted.device.type, enabled=False):  # it would round the similarities
        steps = (each.float().flatten(0, 1).transpose(0, 1) for each in (predicted, actual))
        queries, keys = (F.normalize(each, dim=-1) for each in steps)
        return queries @ keys.transpose(1, 2)


def scores(predicted: Tensor, actual: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the published score: the product of predicted and actual embeddings, averaged over steps and dimensions.

    Source: `algorithms/cpc.py` of https://github.com/HealthML/self-supervised-3d-tasks.

    Args:
        predicted: `(B, columns, S, E)`.
        actual: `(B, columns, S, E)`.

    Returns:
        With N = B · columns: the scores `(N, 1)` of each prediction with its own column, and `(N, N - 1)` with every
        other column.
    """
    with torch.autocast(predicted.device.type, enabled=False):  # it would round the scores
        queries, keys = (each.float().flatten(2).flatten(0, 1) for each in (predicted, actual))
        of_pairs = queries @ keys.T / keys.shape[1]
    # From the second number on, row by row, every (N + 1)-th number is on the diagonal.
    others = of_pairs.flatten()[1:].reshape(-1, len(keys) + 1)[:, :-1].reshape(len(keys), -1)
    return of_pairs.diagonal()[:, None], others


def binary_cross_entropy(predicted: Tensor, actual: Tensor) -> Tensor:
    """Compute the published loss: distinguish the actual embeddings from those of any other column in the batch.

    The authors' code samples one negative for each positive. This loss is the mean over all negatives: the expected
    value of the published one, without its sampling noise, so that validation passes can be compared.

    Source: `preprocess_grid_3d` of https://github.com/HealthML/self-supervised-3d-tasks.

    Args:
        predicted: `(B, columns, S, E)`.
        actual: `(B, columns, S, E)`.

    Returns:
        The mean of the losses of positives and negatives, `()`.
    """
    positive, negative = scores(predicted, actual)
    return (F.softplus(-positive).mean() + F.softplus(negative).mean()) / 2


class CPC(PretextTask[None]):
    """Predicts the embeddings of the last rows of a grid of patches from those of the first rows, in every column.

    A recurrent network reads the context, an inverted pyramid of patches. One linear layer per row predicts.

    There are two differences from the authors' code. Every predicted row is compared with those of all columns and
    cases in the batch (`objective="bce"` is the published objective). Images and patches are cropped at a random place
    and not padded with zeros, because a border of zeros would reveal the place of a patch.

    The loss at chance level is the logarithm of the number of candidates: all columns of all cases, or 2 for `bce`.

    Sources: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748; Taleb et al. 2020, section 3,
    https://arxiv.org/abs/2006.03829; in 2-D Hénaff et al. 2019, https://arxiv.org/abs/1905.09272.

    Args:
        encoder: See `PretextTask`. It encodes one patch at a time.
        grid: Patches per side; by default 4 in 3-D and 5 in 2-D.
        overlap: Whether neighbouring patches overlap by half; by default in 2-D only.
        context_rows: Number of rows in the context.
        skip_rows: Number of rows between context and predicted rows. By default 1 if patches overlap, because the two
            rows would have voxels in common, else 0.
        image_fraction: Fraction of the image's sides that the grid covers.
        patch_fraction: Fraction of a cell's sides that its patch covers.
        flip: Probability that a patch is flipped along the first axis (published: 0.5 in 3-D, none in 2-D).
        embedding_size: Length of a patch's embedding.
        context_size: Length of the recurrent network's state.
        objective: `infonce`, or `bce` as published.
        temperature: Divides the similarities of `infonce`.
        head: Builds the head that embeds a patch.
        optimization: See `PretextTask`.

    Raises:
        InputError: If no row is left to predict, or an argument is out of range.
    """

    context: Tensor
    future: Tensor

    least_cases = 2

    def __init__(
        self,
        encoder: Encoder,
        grid: Count | None = None,
        overlap: bool | None = None,
        context_rows: int = 2,
        skip_rows: int | None = None,
        image_fraction: float = 0.95,
        patch_fraction: float = 0.875,
        flip: Fraction = 0.5,
        embedding_size: Count = 128,
        context_size: Count = 256,
        objective: Objective = "infonce",
        temperature: Positive = 0.1,
        head: HeadCallable = linear_head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        dims = encoder.spatial_dims
        self.grid = GRID[dims] if grid is None else grid
        self.overlap = dims == 2 if overlap is None else overlap
        first_row = context_rows + (int(self.overlap) if skip_rows is None else skip_rows)
        if not 1 <= context_rows <= first_row < self.grid:
            raise InputError(
                f"CPC needs a row of context and a row to predict: of the grid's {self.grid} rows, {context_rows} are "
                f"context and {first_row - context_rows} skipped"
            )
        for name, fraction in (("image_fraction", image_fraction), ("patch_fraction", patch_fraction)):
            if not 0 < fraction <= 1:
                raise InputError(f"{name} must be above 0 and at most 1, got {fraction}")
        if objective not in get_args(Objective):
            raise InputError(f"objective must be one of {get_args(Objective)}, got {objective!r}")
        self.image_fraction = image_fraction
        self.patch_fraction = patch_fraction
        self.flip = flip
        self.objective = objective
        self.temperature = temperature
        self.register_buffer("context", context_cells(self.grid, dims, context_rows), persistent=False)
        self.register_buffer("future", future_cells(self.grid, dims, first_row), persistent=False)
        self.head = head(encoder, 1, embedding_size)
        self.recurrent = nn.GRU(embedding_size, context_size, batch_first=True)
        self.predictors = nn.Linear(context_size, (self.grid - first_row) * embedding_size)

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, None]:
        """Cut every image into a grid of patches, and flip a fraction of them along the first axis.

        Args:
            images: `(B, C, *spatial)`, each from a different case. B over all ranks must be at least 2.
            generator: See `PretextTask.make_task`.

        Returns:
            All patches in row-major order, `(B, grid**d, C, *patch)`, and no targets.

        Raises:
            InputError: If there is only one case, or if the patches are too small for the encoder.
        """
        self.encoder.check(images)
        self.check_cases(images)
        shape, device = images.shape[2:], images.device
        covered, step, cell, patch = zip(*(self.layout(side) for side in shape), strict=True)
        if not self.encoder.fits(patch):
            raise InputError(
                f"CPC's grid of {self.grid} per side cuts images of {tuple(shape)} voxels into patches of {patch}, but "
                f"the encoder needs sides of at least {self.encoder.minimum_side}: use larger images, a smaller grid, "
                "overlapping patches, or an encoder with fewer levels"
            )

        def places(count: int, room: Sequence[int], taken: Sequence[int]) -> Tensor:
            slack = [whole - part for whole, part in zip(room, taken, strict=True)]
            return random_offsets((len(images), count), slack, generator, device)

        corners = grid_corners(self.grid, step, device)
        origins = places(1, shape, covered) + corners + places(len(corners), cell, patch)
        patches = cut_patches(images, origins, patch)
        flipped = torch.rand(origins.shape[:2], generator=generator, device=device) < self.flip
        flipped = flipped.reshape(*flipped.shape, *(1,) * (patches.ndim - 2))
        return torch.where(flipped, patches.flip(3), patches), None

    def layout(self, side: int) -> tuple[int, int, int, int]:
        """Compute the layout of the grid along one side of an image.

        It crops less than `image_fraction` and `patch_fraction` say if patches would be too small for the encoder.

        Args:
            side: Side of the image in voxels.

        Returns:
            Voxels that the grid covers, and the size of a step, a cell and a patch in voxels.
        """
        steps, span = (self.grid + 1, 2) if self.overlap else (self.grid, 1)
        smallest = self.encoder.minimum_side
        covered = max(int(side * self.image_fraction), min(side, -(-smallest // span) * steps))
        step = covered // steps
        cell = step * span
        return step * steps, step, cell, max(int(cell * self.patch_fraction), min(cell, smallest))

    def forward(self, inputs: Tensor) -> Tensor:
        """Predict the last rows of every column.

        Args:
            inputs: `(B, grid**d, C, *patch)`.

        Returns:
            Predicted and actual embeddings, `(B, 2, columns, S, E)`, where S is the number of predicted rows.
        """
        embeddings = super().forward(inputs).reshape(*inputs.shape[:2], -1)
        actual = embeddings[:, self.future]
        _, state = self.recurrent(embeddings[:, self.context].flatten(0, 1))
        return torch.stack((self.predictors(state[-1]).reshape(actual.shape), actual), dim=1)

    def loss(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002 - the outputs are compared
        """Compute `info_nce` or `binary_cross_entropy` over the cases of all ranks.

        Args:
            outputs: `(B, 2, columns, S, E)`, see `forward`.
            targets: Not used.

        Returns:
            The loss, `()`.
        """
        predicted, actual = self.of_all_ranks(outputs).unbind(1)
        if self.objective == "infonce":
            return info_nce(predicted, actual, self.temperature)
        return binary_cross_entropy(predicted, actual)

    def measures(self, outputs: Tensor, targets: None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Return how often the actual embedding has the highest score, as `accuracy`; for `bce` among pairs."""
        return {"accuracy": self._is_right(outputs).mean()}

    def answers(self, outputs: Tensor, targets: None = None) -> list[Answer]:  # noqa: ARG002
        """Return for each case how often its own embeddings have the highest score."""
        return [Answer(f"{right:.0%} of the predictions right") for right in self._is_right(outputs).mean(1).tolist()]

    def _is_right(self, outputs: Tensor) -> Tensor:
        """Return 1 if the actual embedding has the highest score, else 0: `(B, …)`."""
        predicted, actual = outputs.unbind(1)
        if self.objective == "bce":
            positive, negative = scores(predicted, actual)
            return (positive > negative).float().reshape(len(outputs), -1)
        cosines = similarities(predicted, actual)
        right = cosines.argmax(2) == torch.arange(cosines.shape[1], device=cosines.device)
        return right.float().reshape(len(right), len(outputs), -1).transpose(0, 1).flatten(1)
