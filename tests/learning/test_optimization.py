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


def test_a_sawtooth_warms_up_the_decoder_then_the_whole_network() -> None:
    """As nnU-Net's: of 1000 epochs 25 rise, 25 fall with a frozen encoder, 50 rise, and the rest falls."""
    points = (0, 0.0125, 0.025, 0.0375, 0.05 - 1e-9, 0.05, 0.075, 0.1, 0.55, 1)
    expected = [0, 0.5, 1, 0.5**0.9, 0, 0, 0.5, 1, 0.5**0.9, 0]
    assert [learning_rate_factor("sawtooth", x, 0.05) for x in points] == pytest.approx(expected, abs=1e-5)
    one_tooth = [learning_rate_factor("sawtooth", x) for x in (0, 0.025, 0.05, 0.525, 1)]
    assert one_tooth == pytest.approx([0, 0.5, 1, 0.5**0.9, 0])
    assert learning_rate_factor("sawtooth", 0.5, 1.0) == 1  # frozen to the end: one tooth
    for frozen in (0.0, 0.95, 0.96, 0.999, 1.0):  # with less than a twentieth left, it rises to the end
        assert learning_rate_factor("sawtooth", 1.0, frozen) == 0
