"""Every update of a run has random numbers of its own, on every rank."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch

from sslmed.training import callbacks
from sslmed.training.callbacks import SeedUpdates


def test_seed_fold_update_and_rank_decide_and_each_alone_gives_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(seed: int, fold: int, update: int, rank: int) -> float:
        monkeypatch.setattr(callbacks, "rank", lambda: rank)
        SeedUpdates(seed, fold).on_train_batch_start(SimpleNamespace(global_step=update), None, None, 0)
        return torch.rand(()).item()

    places = [*product((0, 1), repeat=4)]
    drawn = [draw(*place) for place in places]
    assert len({*drawn}) == len(places)
    assert [draw(*place) for place in places] == drawn
