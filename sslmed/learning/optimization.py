"""Optimizer and learning-rate schedule, the same for pretraining and fine-tuning."""

import math
from dataclasses import dataclass
from typing import Literal

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "cosine", "one_cycle"]

WARM_UP = 0.3  # fraction of a one-cycle schedule in which the learning rate rises
START = 0.04  # of the peak


def default_optimizer(parameters: object) -> Optimizer:
    """AdamW with a learning rate of 1e-3."""
    return AdamW(parameters, lr=1e-3)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Optimization:
    """How weights are updated.

    Args:
        optimizer: Builds the optimizer from parameters; its learning rate is the schedule's peak.
        schedule: Course of the learning rate, see `learning_rate_factor`.
    """

    optimizer: OptimizerCallable = default_optimizer
    schedule: Schedule = "one_cycle"

    def configure(self, module: LightningModule) -> OptimizerLRScheduler:
        """Build what `LightningModule.configure_optimizers` returns.

        All parameters are handed over at once, frozen ones too: the optimizer passes over them while they have no
        gradient, so that to unfreeze an encoder needs no new optimizer and loses no moments.

        Args:
            module: The module to train, attached to a Trainer.
        """
        optimizer = self.optimizer(module.parameters())

        def factor(update: int) -> float:
            if update == 0:
                # Here no checkpoint is restored yet, and to tell the length of training Lightning would begin to draw
                # batches: the first ones instead of those that come next.
                return learning_rate_factor(self.schedule, 0.0)
            return learning_rate_factor(self.schedule, update / module.trainer.estimated_stepping_batches)

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


DEFAULT = Optimization()
"""AdamW with a peak learning rate of 1e-3, one cycle."""


def learning_rate_factor(schedule: Schedule, progress: float) -> float:
    """Give the learning rate as a fraction of its peak.

    Args:
        schedule: `constant`; `cosine`, which falls from the peak to zero; `one_cycle`, which rises to the peak first,
            both along a cosine (https://arxiv.org/abs/1708.07120).
        progress: Fraction of training that is done, in [0, 1].
    """
    if schedule == "constant":
        return 1.0
    warm_up = WARM_UP if schedule == "one_cycle" else 0.0
    if progress < warm_up:
        return START + (1 - START) * (1 - math.cos(math.pi * progress / warm_up)) / 2
    return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2
