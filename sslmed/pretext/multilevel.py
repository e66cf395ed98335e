"""A pretext task whose loss is also computed from intermediate feature maps, each with a head of its own.

Source: Lee et al. 2015, Deeply-supervised nets, https://arxiv.org/abs/1409.5185.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.core.numbers import Count
from sslmed.encoders import Encoder
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.jigsaw import Jigsaw

Answers = Any
"""A tuple with the outputs of each level. The base class has a single tensor in its place."""


class FirstLevels(Encoder):
    """An encoder that ends before the coarsest maps. It shares all weights with the whole one.

    Args:
        encoder: The whole encoder.
        levels: Number of feature maps that are left.
    """

    def __init__(self, encoder: Encoder, levels: int) -> None:
        super().__init__()
        self.whole = encoder
        self.spatial_dims = encoder.spatial_dims
        self.in_channels = encoder.in_channels
        self.out_channels = encoder.out_channels[:levels]
        self.reductions = encoder.reductions[:levels]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, see `Encoder.forward`."""
        maps: list[Tensor] = self.whole(images)
        return maps[: len(self.out_channels)]


class MultiLevel(PretextTask[Any]):
    """Trains the encoder on one task, which is solved from each of its coarsest feature maps.

    Every level has its own head and the same targets; the loss is the mean over levels, as in deep supervision: Lee et
    al. 2015, https://arxiv.org/abs/1409.5185, section 2.1, with equal weights. Answers are those of the coarsest level;
    validation also logs each level's loss. An update costs as much as one of the task, plus the heads.

    The shortcuts are those of the task. Finer maps see less of the image, so that a task that needs the whole of it can
    stay near chance there.

    Args:
        encoder: See `PretextTask`.
        task: Builds the task on the encoder: one whose head reads feature maps. Its own `optimization` is not used.
        levels: Number of feature maps, the coarsest ones.
        optimization: See `PretextTask`.

    Raises:
        InputError: If the task has no such head, or the encoder fewer maps.
    """

    def __init__(
        self,
        encoder: Encoder,
        task: Callable[[Encoder], PretextTask[Any]] = Jigsaw,
        levels: Count = 2,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        n_maps = len(encoder.out_channels)
        if levels > n_maps:
            raise InputError(f"levels is {levels}, but {type(encoder).__name__} has {n_maps} feature maps")
        self.task = task(encoder)
        self.least_cases = self.task.least_cases
        if type(self.task).forward is not PretextTask.forward:
            raise InputError(
                f"{type(self.task).__name__} does not answer by a head on feature maps, and cannot at several levels"
            )
        self.n_maps = range(n_maps - levels + 1, n_maps + 1)
        inner = [task(FirstLevels(encoder, number)) for number in self.n_maps[:-1]]
        self.tasks: Sequence[PretextTask[Any]] = nn.ModuleList([*inner, self.task])  # type: ignore[assignment]

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Any]:
        """Return inputs and targets of the task; see its `make_task`."""
        return self.task.make_task(images, generator)

    def forward(self, inputs: Tensor) -> Answers:
        """Return the outputs of each level, the finest first."""
        maps = self.encode(inputs)
        return tuple(task.read(maps[:number]) for task, number in zip(self.tasks, self.n_maps, strict=True))

    def loss(self, outputs: Answers, targets: Any) -> Tensor:  # noqa: ANN401 - the task's
        """Compute the mean of the losses of all levels, `()`."""
        return torch.stack([self.task.loss(each, targets) for each in outputs]).mean()

    def chance_answer(self, outputs: Answers, targets: Any) -> Answers:  # noqa: ANN401 - the task's
        """Return the task's chance answer at each level."""
        return tuple(self.task.chance_answer(each, targets) for each in outputs)

    def measures(self, outputs: Answers, targets: Any) -> dict[str, Tensor]:  # noqa: ANN401 - the task's
        """Return the task's measures at the coarsest level, and the loss at each level, 0 being the finest map."""
        losses = {f"loss_{n - 1}": self.task.loss(each, targets) for n, each in zip(self.n_maps, outputs, strict=True)}
        return self.task.measures(outputs[-1], targets) | losses

    def answers(self, outputs: Answers, targets: Any) -> list[Answer]:  # noqa: ANN401 - the task's
        """Return the task's answers at the coarsest level."""
        return self.task.answers(outputs[-1], targets)
