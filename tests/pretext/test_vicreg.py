import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.pretext import VICReg
from sslmed.pretext.vicreg import vicreg_loss


def test_the_loss_by_hand():
    embeddings = np.random.default_rng(0).normal(scale=0.7, size=(6, 2, 5))
    views = embeddings.transpose(1, 0, 2)
    invariance = ((views[0] - views[1]) ** 2).mean()
    variance = np.mean([[max(0, 1 - np.sqrt(z[:, j].var(ddof=1) + 1e-4)) for j in range(5)] for z in views])
    covariance = 0.0
    for z in views:
        matrix = np.cov(z.T)
        covariance += sum(matrix[i, j] ** 2 for i in range(5) for j in range(5) if i != j) / 5
    expected = 2 * invariance + 3 * variance + 4 * covariance
    assert vicreg_loss(torch.from_numpy(embeddings), 2, 3, 4).item() == pytest.approx(expected, rel=1e-5)


def test_collapsed_embeddings_cost_the_variance_and_spread_ones_nothing():
    task = VICReg(UNetEncoder(2, 1, widths=(2, 4)))
    collapsed = torch.full((4, 2, 16), 3.0)
    assert task.loss(collapsed).item() == pytest.approx(25 * 0.99)
    assert task.chance_loss(collapsed, None).item() == pytest.approx(25 * 0.99)
    assert task.measures(collapsed)["embedding_std"] == 0
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])[:, None].expand(4, 2, 2)
    assert task.loss(signs).item() == pytest.approx(0, abs=1e-5)
    assert task.measures(signs)["embedding_std"] > 1
