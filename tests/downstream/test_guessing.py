"""The loss of guessing is the least that any answer reaches which does not depend on the image."""

import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from sslmed.downstream.classification import OBJECTIVES


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_other_constant_is_better(objective: str) -> None:
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    of = OBJECTIVES[objective]

    def loss(constant: Tensor) -> float:
        return of.loss(constant.expand(len(labels), -1), labels).item()

    best = minimize(lambda logits: loss(torch.tensor(logits)), [0.0] * of.num_outputs(3), method="Nelder-Mead")
    assert loss(of.guess(labels, 3)) == pytest.approx(best.fun, abs=1e-4)
    assert of.guess(torch.tensor([0, 0]), 3).isfinite().all()  # of classes that do not occur
