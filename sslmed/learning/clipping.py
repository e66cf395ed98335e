"""Clipping of gradients tensor by tensor, as Keras does it."""

from pytorch_lightning import Callback, LightningModule, Trainer
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


class ClipEachGradient(Callback):
    """Scales down each parameter's gradient to a largest norm by itself, as Keras' `clipnorm` does.

    Lightning's `gradient_clip_val` is about the norm of all gradients together, so that one large gradient makes all
    others smaller. Pretraining and fine-tuning take it alike, as one of `trainer.callbacks`.

    Args:
        max_norm: Largest Euclidean norm of a gradient.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Lightning's hook: gradients are averaged over devices, and not scaled by mixed precision any more."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                clip_grad_norm_(parameter, self.max_norm)  # passes over one without a gradient
