"""Training by replaying a recorded step learns what training step by step learns."""

from collections.abc import Iterator

import pytest
import torch
from trained_modules import MODULES, draw_batch, module_and_batch

from sslmed.learning.captured import WARM_UP

pytestmark = [pytest.mark.cuda, pytest.mark.filterwarnings("ignore:.*self.log", "ignore:.*deterministic")]


@pytest.fixture(autouse=True)
def same_sums() -> Iterator[None]:
    """Sum in the same order every time, where the library can, so that differences are not those of rounding."""
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def _losses(name: str, dims: int, *, captured: bool, dtype: torch.dtype, frozen_until: int = 0) -> torch.Tensor:
    module, _ = module_and_batch(name, dims, "cuda")
    # Adam divides by the size of a gradient, so that rounding alone moves weights that hardly matter.
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    if captured:
        module.capture_steps()
    losses = []
    for update in range(WARM_UP + 9):
        module.encoder.requires_grad_(update >= frozen_until)
        torch.manual_seed(update)
        batch = draw_batch(name, dims, "cuda")
        torch.manual_seed(100 + update)
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        module.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    assert not captured or module.captured.is_recorded
    return torch.stack(losses).float().cpu()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODULES)
def test_losses_are_those_of_training_step_by_step(name: str, dims: int, dtype: torch.dtype) -> None:
    expected, replayed = (_losses(name, dims, captured=captured, dtype=dtype) for captured in (False, True))
    torch.testing.assert_close(replayed, expected, rtol=1e-3, atol=1e-5)
    assert expected.unique().numel() == len(expected)  # no batch, and no random number, was used twice


def test_what_is_frozen_may_change() -> None:
    expected, replayed = (
        _losses("segmentation", 3, captured=captured, dtype=torch.float32, frozen_until=WARM_UP + 3)
        for captured in (False, True)
    )
    torch.testing.assert_close(replayed, expected, rtol=1e-3, atol=1e-5)


def test_a_step_that_reads_a_number_is_not_recorded() -> None:
    module, batch = module_and_batch("rotation", 3, "cuda")
    step = module.training_loss
    module.training_loss = lambda batch: step(batch) * (1 if float(batch["image"].float().mean()) > 0 else 2)
    module.capture_steps()
    for _ in range(WARM_UP + 2):
        module.backward(module.training_step(batch, 0))
    assert not module.captured.is_recorded
    assert all(parameter.grad is not None for parameter in module.parameters())
