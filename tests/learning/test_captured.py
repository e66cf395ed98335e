"""Training by replaying a recorded step learns what training step by step learns."""

import pytest
import torch
from trained_modules import MODULES, draw_batch, module_and_batch

from sslmed.learning.captured import CapturedStep

pytestmark = [pytest.mark.cuda, pytest.mark.filterwarnings("ignore:.*self.log")]


def _losses(name: str, *, captured: bool, dtype: torch.dtype, updates: int = 9, frozen_until: int = 0) -> torch.Tensor:
    module, _ = module_and_batch(name, 3, "cuda")
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    replay = CapturedStep(lambda batch: module.training_step(batch, 0), module.parameters())
    losses = []
    for update in range(updates):
        module.encoder.requires_grad_(update >= frozen_until)
        torch.manual_seed(update)
        batch = draw_batch(name, 3, "cuda")
        optimizer.zero_grad()
        torch.manual_seed(100 + update)
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            if captured:
                loss = replay(batch)
            else:
                loss = module.training_step(batch, 0)
                loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).float().cpu()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODULES)
def test_losses_are_those_of_training_step_by_step(name: str, dtype: torch.dtype) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    expected, replayed = (_losses(name, captured=captured, dtype=dtype) for captured in (False, True))
    torch.testing.assert_close(replayed, expected, rtol=1e-3 if dtype == torch.float32 else 1e-2, atol=1e-4)
    assert expected.unique().numel() == len(expected)  # no batch, and no random number, was used twice


def test_what_is_frozen_may_change() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    expected, replayed = (
        _losses("segmentation", captured=captured, dtype=torch.float32, updates=12, frozen_until=6)
        for captured in (False, True)
    )
    torch.testing.assert_close(replayed, expected, rtol=1e-3, atol=1e-4)
