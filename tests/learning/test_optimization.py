import pytest
import torch

from sslmed.learning.optimization import START, WARM_UP, learning_rate_factor


def test_one_cycle_is_torchs_one_cycle_in_the_limit_of_many_updates() -> None:
    total = 10_000
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    options = {"pct_start": WARM_UP, "div_factor": 1 / START, "cycle_momentum": False}
    oracle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total, **options)
    for update in range(total - 1):
        if update % 500 == 0:
            expected = optimizer.param_groups[0]["lr"]
            assert learning_rate_factor("one_cycle", update / total) == pytest.approx(expected, abs=1e-3)
        optimizer.step()
        oracle.step()


def test_constant_and_cosine() -> None:
    assert [learning_rate_factor("constant", x) for x in (0, 0.5, 1)] == [1, 1, 1]
    assert [learning_rate_factor("cosine", x) for x in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
