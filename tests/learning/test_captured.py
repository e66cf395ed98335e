"""Training by replaying a recorded step learns what training step by step learns."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from sslmed.downstream import Classification, Segmentation
from sslmed.encoders import UNetEncoder
from sslmed.learning.augmentation import RandomAffine, RandomIntensity
from sslmed.learning.captured import CapturedStep
from sslmed.pretext import CPC, Exemplar, Jigsaw, RelativePatchLocation, Rotation

AUGMENTED = {"affine": RandomAffine(0.5, 0.5, 0.5, 30, 0.5), "intensity": RandomIntensity()}
MODULES: dict[str, Callable] = {
    "rotation": Rotation,
    "jigsaw": Jigsaw,
    "rpl": RelativePatchLocation,
    "exemplar": Exemplar,
    "cpc": CPC,
    "cpc-bce": partial(CPC, objective="bce"),
    "segmentation": partial(Segmentation, label_values=(0, 1, 2), **AUGMENTED),
    "grades": partial(Classification, num_classes=5, **AUGMENTED),
}
pytestmark = [pytest.mark.cuda, pytest.mark.filterwarnings("ignore:.*self.log")]


def _losses(name: str, *, captured: bool, dtype: torch.dtype, updates: int = 9, frozen_until: int = 0) -> torch.Tensor:
    torch.manual_seed(0)
    module = MODULES[name](UNetEncoder(3, 1, widths=(8, 16), dropout=0.1)).cuda()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    replay = CapturedStep(lambda batch: module.training_step(batch, 0), module.parameters())
    losses = []
    for update in range(updates):
        module.encoder.requires_grad_(update >= frozen_until)
        torch.manual_seed(update)
        images = torch.rand(3, 1, 24, 24, 24, device="cuda").half()
        of_case = isinstance(module, Classification)
        label = torch.randint(5, (3,), device="cuda") if of_case else (2.9 * images[:, 0]).byte()
        batch = {"image": images, "label": label}
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
