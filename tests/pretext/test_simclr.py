import math

import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.pretext import SimCLR
from sslmed.pretext.simclr import nt_xent


def test_the_loss_by_hand():
    embeddings = np.random.default_rng(0).normal(size=(5, 2, 7))
    views = embeddings.reshape(10, 7)
    views = views / np.linalg.norm(views, axis=1, keepdims=True)
    losses = []
    for i in range(10):
        j = i + 1 if i % 2 == 0 else i - 1
        others = [np.exp(views[i] @ views[k] / 0.3) for k in range(10) if k != i]
        losses.append(-math.log(np.exp(views[i] @ views[j] / 0.3) / sum(others)))
    assert nt_xent(torch.from_numpy(embeddings), 0.3).item() == pytest.approx(np.mean(losses))


def test_views_that_match_cost_nothing_and_are_recognised():
    task = SimCLR(UNetEncoder(2, 1, widths=(2, 4)), temperature=0.01)
    matched = torch.eye(4).repeat_interleave(2, 0).reshape(4, 2, 4)
    assert task.loss(matched).item() == pytest.approx(0, abs=1e-5)
    assert task.measures(matched)["accuracy"] == 1
    assert task.measures(matched)["embedding_std"] == pytest.approx(1)
    assert task.answers(matched)[0].words == "similarity 1.00; of 6 views of others, 0 are more similar"
    confused = torch.stack((torch.eye(4), torch.eye(4).roll(1, 0)), dim=1)
    assert task.measures(confused)["accuracy"] == 0
    assert task.answers(confused)[0].words == "similarity 0.00; of 6 views of others, 1 are more similar"
