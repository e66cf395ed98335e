"""Joint pretraining: several pretext tasks train one encoder, each with its own head, on every batch.

Source: Doersch and Zisserman 2017, https://arxiv.org/abs/1708.07860; weights by uncertainty Kendall et al. 2018,
https://arxiv.org/abs/1705.07115.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sslmed.core.errors import InputError
from sslmed.encoders import Encoder
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.mae import MaskedAutoencoder
from sslmed.pretext.simclr import SimCLR

TaskCallable = Callable[[Encoder], PretextTask[Any]]
"""Builds a pretext task on an encoder."""

Weighting = Literal["fixed", "uncertainty"]

Parts = Any
"""A tuple with one entry for each task. The base class has a single tensor in its place."""


def weigh_by_uncertainty(losses: Tensor, log_variances: Tensor) -> Tensor:
    """Weigh losses by the learned uncertainty of each task: the sum of loss / σ² + log σ.

    For losses of regression, the paper divides by 2σ²: this is the same with another σ.

    Source: Kendall et al. 2018, https://arxiv.org/abs/1705.07115, equation 10.

    Args:
        losses: Loss of each task, `(T,)`.
        log_variances: log σ² of each task, `(T,)`.

    Returns:
        The loss, `()`, which may be negative.
    """
    return (losses * (-log_variances).exp() + log_variances / 2).sum()


class Joint(PretextTask[Parts]):
    """Trains the encoder on several pretext tasks at once. All of them see every batch.

    With fixed weights, each task's loss is divided by its own chance loss of the batch, so that the loss at chance
    level is 1 and no task dominates by its scale. With weights by uncertainty, the network learns them in training;
    validation is always by fixed weights, so that epochs and chance compare. Validation also logs each task's
    own loss and chance loss.

    Pictures show the inputs of the first task. The first task's decoder is handed over that has one. An update costs as
    much as one of all tasks together.

    Sources: Doersch and Zisserman 2017, https://arxiv.org/abs/1708.07860; Kendall et al. 2018,
    https://arxiv.org/abs/1705.07115.

    Args:
        encoder: See `PretextTask`.
        tasks: Builds each task on the encoder. Their own `optimization` is not used.
        weighting: `fixed` or `uncertainty`.
        weights: Fixed weight of each task; by default all are equal.
        optimization: See `PretextTask`.

    Raises:
        InputError: If there is no task, or not one positive weight for each.
    """

    def __init__(
        self,
        encoder: Encoder,
        tasks: Sequence[TaskCallable] = (MaskedAutoencoder, SimCLR),
        weighting: Weighting = "fixed",
        weights: Sequence[float] | None = None,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        weights = [1.0] * len(tasks) if weights is None else [*weights]
        if not tasks or len(weights) != len(tasks) or min(weights) <= 0:
            raise InputError(f"Joint needs tasks and a positive weight for each, got {len(tasks)} tasks and {weights}")
        if weighting not in get_args(Weighting):
            raise InputError(f"weighting must be one of {get_args(Weighting)}, got {weighting!r}")
        built = [task(encoder) for task in tasks]
        self.tasks: Sequence[PretextTask[Any]] = nn.ModuleList(built)  # type: ignore[assignment]
        self.least_cases = max(task.least_cases for task in built)
        self.weights = [weight / sum(weights) for weight in weights]
        decoders = [task.decoder for task in built if hasattr(task, "decoder")]
        if decoders:
            self.decoder = decoders[0]
        self.log_variances = nn.Parameter(torch.zeros(len(tasks))) if weighting == "uncertainty" else None

    @property
    def names(self) -> list[str]:
        """Name of each task: its class, with a number if there are several of it."""
        seen: Counter[str] = Counter()
        names = []
        for task in self.tasks:
            name = type(task).__name__
            seen[name] += 1
            names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        return names

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Parts, Parts]:
        """Make the inputs and targets of each task from the same images.

        Args:
            images: `(B, C, *spatial)`, each from a different case.
            generator: See `PretextTask.make_task`.

        Returns:
            Inputs and targets of each task.

        Raises:
            InputError: If a task cannot use the images.
        """
        made = [task.make_task(images, generator) for task in self.tasks]
        return tuple(inputs for inputs, _ in made), tuple(targets for _, targets in made)

    def forward(self, inputs: Parts) -> Parts:
        """Return the outputs of each task for its inputs."""
        return tuple(task(seen) for task, seen in zip(self.tasks, inputs, strict=True))

    def losses(self, outputs: Parts, targets: Parts) -> Tensor:
        """Return the loss of each task, `(T,)`."""
        return torch.stack([task.loss(*pair) for task, *pair in zip(self.tasks, outputs, targets, strict=True)])

    def chance_losses(self, outputs: Parts, targets: Parts) -> Tensor:
        """Return the chance loss of each task, `(T,)`."""
        return torch.stack([task.chance_loss(*pair) for task, *pair in zip(self.tasks, outputs, targets, strict=True)])

    def loss(self, outputs: Parts, targets: Parts) -> Tensor:
        """Compute the weighted mean of losses over chance losses, or in training `weigh_by_uncertainty`: `()`."""
        losses = self.losses(outputs, targets)
        if self.log_variances is not None and self.training:
            return weigh_by_uncertainty(losses, self.log_variances)
        ratios = losses / self.chance_losses(outputs, targets).detach()
        return torch.stack([weight * ratio for weight, ratio in zip(self.weights, ratios, strict=True)]).sum()

    def chance_answer(self, outputs: Parts, targets: Parts) -> Parts:
        """Return the chance answer of each task."""
        return tuple(task.chance_answer(*pair) for task, *pair in zip(self.tasks, outputs, targets, strict=True))

    def measures(self, outputs: Parts, targets: Parts) -> dict[str, Tensor]:
        """Return loss, chance loss and measures of each task, as `<task>_<name>`."""
        found: dict[str, Tensor] = {}
        for name, task, *pair in zip(self.names, self.tasks, outputs, targets, strict=True):
            measured = {"loss": task.loss(*pair), "chance_loss": task.chance_loss(*pair), **task.measures(*pair)}
            found |= {f"{name}_{key}": value for key, value in measured.items()}
        return found

    def answers(self, outputs: Parts, targets: Parts) -> list[Answer]:
        """Return the answers of all tasks in words, and the first task's image if it has one."""
        of_tasks = [task.answers(*pair) for task, *pair in zip(self.tasks, outputs, targets, strict=True)]
        return [
            Answer("; ".join(answer.words for answer in answers if answer.words), answers[0].image)
            for answers in zip(*of_tasks, strict=True)
        ]
