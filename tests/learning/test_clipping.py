import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sslmed.learning.clipping import ClipEachGradient


class Sums(pl.LightningModule):
    """Its loss is a weighted sum of its parameters, so that the weights are the gradients."""

    def __init__(self, gradients: list[np.ndarray]) -> None:
        super().__init__()
        self.weights = [torch.tensor(gradient) for gradient in gradients]
        self.parts = torch.nn.ParameterList(torch.zeros(gradient.shape) for gradient in gradients)
        self.unused = torch.nn.Parameter(torch.ones(2))

    def training_step(self, batch: Tensor) -> Tensor:
        return sum((weight * part).sum() for weight, part in zip(self.weights, self.parts, strict=True))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def test_each_gradient_is_clipped_by_itself() -> None:
    generator = np.random.default_rng(0)
    gradients = [
        scale * generator.normal(size=size).astype(np.float32) for scale, size in ((9, (3, 4)), (0.1, 5), (2, 1))
    ]
    module = Sums(gradients)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", callbacks=[ClipEachGradient(1.0)], **quiet)
    trainer.fit(module, [torch.zeros(1)])
    for part, gradient in zip(module.parts, gradients, strict=True):
        norm = np.sqrt((gradient**2).sum())
        expected = -gradient / max(norm, 1.0)  # Keras' clip_by_norm
        assert part.detach().numpy() == pytest.approx(expected, rel=1e-5)
    assert module.unused.tolist() == [1, 1]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=6))
def test_no_entry_of_a_gradient_of_norm_1_is_larger_than_1(values: list[float]) -> None:
    """So the published clipping of values to 1, after that of norms to 1, changes nothing."""
    parameter = torch.nn.Parameter(torch.zeros(len(values)))
    parameter.grad = torch.tensor(values)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    ClipEachGradient(1.0).on_before_optimizer_step(None, None, optimizer)
    assert parameter.grad.abs().max() <= 1 + 1e-6
