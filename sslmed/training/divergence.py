"""Ends a run whose loss or weights are no longer finite, before a checkpoint of it is written."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sslmed.core.errors import RunError
from sslmed.encoders.weights_file import non_finite
from sslmed.learning.distributed import merge, rank, world_size

UPDATES_BETWEEN_LOOKS = 100
"""Updates after which the losses on a GPU are read. Reading one makes Python wait until the GPU is idle."""


class StopAtDivergence(Callback):
    """Raises an error that names the first update whose loss is not finite.

    On a CPU this ends the run at once. On a GPU, or with several ranks, the losses stay on the device and are read
    together, every 100 updates and before each validation pass.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Forget losses of an earlier run."""
        self._losses = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Keep the loss of an update."""
        loss: Tensor = outputs["loss"]
        self._losses.append(loss)
        at_once = loss.device.type == "cpu" and world_size() == 1
        if at_once or len(self._losses) == UPDATES_BETWEEN_LOOKS:
            self._check_losses(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Read the losses of the last updates."""
        self._check_losses(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check what the checkpoint of this validation interval would hold. The last update may have broken it."""
        loss = float(trainer.callback_metrics["val/loss"])
        if not math.isfinite(loss):
            raise RunError(_diverged(trainer, trainer.global_step, f"the validation loss is {loss}"))
        broken = non_finite(pl_module.state_dict())
        if broken:
            found = f"{len(broken)} tensors of the network are not finite, the first is {broken[0]}"
            raise RunError(_diverged(trainer, trainer.global_step, found))

    def _check_losses(self, trainer: Trainer) -> None:
        losses, self._losses = self._losses, []
        if not losses:
            return
        values = torch.stack(losses).tolist()
        start = trainer.global_step - len(values) + 1
        found = {start + i: value for i, value in enumerate(values) if not math.isfinite(value)}
        first = min(merge({rank(): min(found, default=math.inf)}).values())
        if first < math.inf:
            word = found.get(int(first), "not finite")  # it is that of another rank
            raise RunError(_diverged(trainer, int(first), f"the loss is {word}"))


def _diverged(trainer: Trainer, update: int, found: str) -> str:
    cure = "lower the learning rate (model.optimization.optimizer.init_args.lr)"
    if trainer.precision != "32-true":
        cure += f", or set trainer.precision to 32-true (it is {trainer.precision})"
    return (
        f"update {update} of {trainer.estimated_stepping_batches}: {found}: training has diverged; {cure}, and choose "
        "another --run_dir"
    )
