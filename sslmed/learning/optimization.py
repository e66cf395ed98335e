"""Optimizer and learning-rate schedule, the same for pretraining and fine-tuning."""

import math
from typing import Literal

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "cosine", "one_cycle"]

WARM_UP = 0.3  # share of a one-cycle schedule in which the learning rate rises
START = 0.04  # of the peak


def default_optimizer(parameters: object) -> Optimizer:
    """AdamW with a learning rate of 1e-3."""
    return AdamW(parameters, lr=1e-3)  # type: ignore[arg-type]


def configure_optimizers(
    module: LightningModule, optimizer: OptimizerCallable, schedule: Schedule
) -> OptimizerLRScheduler:
    """Build what `LightningModule.configure_optimizers` returns.

    All parameters are handed over at once, frozen ones too: the optimizer passes over them while they have no gradient,
    so that thawing an encoder needs no new optimizer and loses no moments.

    Args:
        module: The module to train, attached to a Trainer.
        optimizer: Builds the optimizer from parameters; its learning rate is the schedule's peak.
        schedule: See `learning_rate_factor`.
    """
    built = optimizer(module.parameters())

    def factor(update: int) -> float:
        if update == 0:
            # Here no checkpoint is restored yet, and to tell the length of training Lightning would begin to draw
            # batches: the first ones instead of those that come next.
            return learning_rate_factor(schedule, 0.0)
        return learning_rate_factor(schedule, update / module.trainer.estimated_stepping_batches)

    return {"optimizer": built, "lr_scheduler": {"scheduler": LambdaLR(built, factor), "interval": "step"}}


def learning_rate_factor(schedule: Schedule, progress: float) -> float:
    """Give the learning rate as a share of its peak.

    Args:
        schedule: `constant`; `cosine`, which falls from the peak to zero; `one_cycle`, which rises to the peak first,
            both along a cosine (https://arxiv.org/abs/1708.07120).
        progress: Share of training that is done, in [0, 1].
    """
    if schedule == "constant":
        return 1.0
    warm_up = WARM_UP if schedule == "one_cycle" else 0.0
    if progress < warm_up:
        return START + (1 - START) * (1 - math.cos(math.pi * progress / warm_up)) / 2
    return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2
