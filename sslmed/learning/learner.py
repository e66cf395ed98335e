"""The training step of everything that is trained. On a GPU it can be replayed instead of being repeated by Python."""

from abc import ABC, abstractmethod
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from sslmed.learning.captured import CapturedStep


class Learner(LightningModule, ABC):
    """Trains a network on batches, one loss for each.

    Attributes:
        captured: The recorded step, if `capture_steps` was called.
    """

    captured: CapturedStep | None = None

    @abstractmethod
    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Compute the loss of a training batch, with all that is random in it.

        If steps are captured, Python runs in the first ones only: what it logs, counts or decides stays as it was then.

        Args:
            batch: From the LightningDataModule, on the device of the network.

        Returns:
            The loss, `()`.
        """

    def capture_steps(self) -> None:
        """From now on, replay the training step as a CUDA graph; see `CapturedStep`."""
        self.captured = CapturedStep(self.training_loss, self.parameters)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """Compute and log the loss of a batch."""
        loss = self.training_loss(batch) if self.captured is None else self.captured(batch)
        size = len(batch["image"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Compute the gradients; those of a captured step are there already (Lightning's hook)."""
        if self.captured is None:
            super().backward(loss, *args, **kwargs)
        else:
            self.captured.set_gradients()
