"""A teacher: copies of modules whose weights are a moving average of theirs.

Source: Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sslmed.core.errors import InputError


class Teacher(nn.ModuleList):
    """Holds copies of modules. They get no gradients; `follow` moves their weights.

    Args:
        students: The modules.
        momentum: Fraction of its own weights that the teacher keeps in each update.

    Raises:
        InputError: If the momentum is out of range.
    """

    def __init__(self, students: Iterable[nn.Module], momentum: float) -> None:
        super().__init__(map(copy.deepcopy, students))
        if not 0 <= momentum <= 1:
            raise InputError(f"momentum must be in 0 to 1, got {momentum}")
        self.momentum = momentum
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, students: Iterable[nn.Module]) -> None:
        """Move the weights towards those of the modules, which are in the order in which they were copied."""
        own: list[Tensor] = [*self.parameters()]
        theirs: list[Tensor] = [weight for student in students for weight in student.parameters()]
        torch._foreach_lerp_(own, theirs, 1 - self.momentum)
