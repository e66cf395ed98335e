"""Clips gradients tensor by tensor, as Keras does."""

from pytorch_lightning import Callback, LightningModule, Trainer
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from sslmed.core.numbers import Positive


class ClipEachGradient(Callback):
    """Clips the norm of each parameter's gradient separately, as Keras' `clipnorm` does.

    Lightning's `gradient_clip_val` clips the norm of all gradients together, so one large gradient shrinks all others.
    This callback works for pretraining and fine-tuning, as one of `trainer.callbacks`.

    Source: `clipnorm` of https://keras.io/api/optimizers/.

    Args:
        max_norm: Largest Euclidean norm of a gradient.
    """

    def __init__(self, max_norm: Positive) -> None:
        self.max_norm = max_norm

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Clip the gradients (Lightning's hook). They are averaged over devices and no longer scaled for precision."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                clip_grad_norm_(parameter, self.max_norm)  # skips a parameter without a gradient
