"""Configures optimizer and learning-rate schedule, the same way for pretraining and fine-tuning."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from sslmed.core.errors import UserError

Schedule = Literal["constant", "cosine", "one_cycle", "sawtooth"]

WARM_UP = 0.3  # fraction of a one-cycle schedule in which the learning rate rises
START = 0.04  # of the peak
TOOTH = 0.05  # fraction of a sawtooth in which the whole network's learning rate rises
POWER = 0.9  # of a sawtooth's decay, as nnU-Net's


def default_optimizer(parameters: object) -> Optimizer:
    """Build AdamW with a learning rate of 1e-3.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.

    Args:
        parameters: Parameters to train, as for `torch.optim.AdamW`.
    """
    return AdamW(parameters, lr=1e-3)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Optimization:
    """Configures how weights are updated.

    Args:
        optimizer: Builds the optimizer from parameters. Its learning rate is the peak of the schedule.
        schedule: Schedule of the learning rate, see `learning_rate_factor`.
    """

    optimizer: OptimizerCallable = default_optimizer
    schedule: Schedule = "one_cycle"

    def configure(
        self,
        module: LightningModule,
        factors: Sequence[tuple[list[Parameter], float]] | None = None,
        frozen_fraction: float = 0.0,
    ) -> OptimizerLRScheduler:
        """Build the return value of `LightningModule.configure_optimizers`.

        The optimizer gets all parameters from the start, also frozen ones. It skips parameters without a gradient. So
        unfreezing an encoder needs no new optimizer and keeps the moments.

        Args:
            module: The module to train, attached to a Trainer.
            factors: Groups of its parameters, each with a factor on the learning rate; by default all with 1.
            frozen_fraction: Fraction of training during which a part is frozen, for `sawtooth`.

        Returns:
            The optimizer, and a schedule that is updated after every step.

        Raises:
            UserError: If the optimizer does not take its arguments.
        """
        optimizer = self._build(module, factors)
        # Fused optimizers divide gradients by the scale of mixed precision themselves. Clipping comes before that, so
        # Lightning refuses it for them, in any precision. This makes Lightning divide before it clips.
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]

        def factor(update: int) -> float:
            if update == 0:
                # No checkpoint is restored yet. To estimate the length of training, Lightning would already load
                # batches, and these would be the first ones instead of the next ones.
                return learning_rate_factor(self.schedule, 0.0, frozen_fraction)
            progress = update / module.trainer.estimated_stepping_batches
            return learning_rate_factor(self.schedule, progress, frozen_fraction)

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}

    def _build(self, module: LightningModule, factors: Sequence[tuple[list[Parameter], float]] | None) -> Optimizer:
        try:
            if factors is None or len(factors) == 1:
                return self.optimizer(module.parameters())
            optimizer = self.optimizer([{"params": parameters} for parameters, _ in factors])
        except (TypeError, ValueError) as error:  # e.g. a learning rate below 0
            raise UserError(f"model.optimization.optimizer cannot be built: {error}") from error
        for group, (_, scale) in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] *= scale
        return optimizer


DEFAULT = Optimization()
"""AdamW with a one-cycle schedule and a peak learning rate of 1e-3."""


def learning_rate_factor(schedule: Schedule, progress: float, frozen_fraction: float = 0.0) -> float:
    """Compute the learning rate as a fraction of its peak.

    Sources: `cosine` Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5, without restarts;
    `one_cycle` Smith and Topin 2018, https://arxiv.org/abs/1708.07120, with cosines instead of lines; `sawtooth` Wald
    et al. 2024, https://arxiv.org/abs/2412.17041, and the authors' nnU-Net (`PretrainedTrainer_sawtooth`).

    Args:
        schedule: `constant`; `cosine`, which falls from the peak to zero; `one_cycle`, which first rises to the peak,
            both along a cosine; or `sawtooth`, with two teeth: while the encoder is frozen it rises along a line for
            half of the time and falls to zero, then it does the same for the whole network, rising for a twentieth of
            training.
        progress: Completed fraction of training, in [0, 1].
        frozen_fraction: Fraction of training that the first tooth of `sawtooth` takes; without it there is one tooth.

    Returns:
        The fraction of the peak, in [0, 1].
    """
    if schedule == "constant":
        return 1.0
    if schedule == "sawtooth":
        if progress < frozen_fraction:
            return _tooth(progress / frozen_fraction, 0.5)
        rest = 1 - frozen_fraction
        return _tooth((progress - frozen_fraction) / rest, min(1.0, TOOTH / rest)) if rest else 0.0
    warm_up = WARM_UP if schedule == "one_cycle" else 0.0
    if progress < warm_up:
        return START + (1 - START) * (1 - math.cos(math.pi * progress / warm_up)) / 2
    return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2


def _tooth(progress: float, rising: float) -> float:
    """Rise from 0 to 1 along a line, then fall to 0 as a power, at once if it rises to the end."""
    return progress / rising if progress < rising else ((1 - progress) / ((1 - rising) or 1.0)) ** POWER
