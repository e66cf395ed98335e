"""Training by replaying a recorded step learns what training step by step learns.

Without a GPU, the recorded operations are repeated one by one.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import Command
from graph_on_cpu import use_graphs_on_cpu
from trained_modules import MODULES, draw_batch, module_and_batch

from sslmed.learning.captured import WARM_UP
from sslmed.training import lightning_cli

pytestmark = pytest.mark.filterwarnings("ignore:.*self.log")
CLOSE = {"rtol": 2e-3, "atol": 1e-5}  # tasks that compare 3 cases amplify what rounding differs in
REPLAYED = 3


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)  # else sums differ between any two runs
    if "device" not in request.fixturenames or request.getfixturevalue("device").type == "cpu":
        use_graphs_on_cpu(monkeypatch)


def _losses(
    name: str,
    dims: int,
    device: torch.device,
    *,
    captured: bool,
    dtype: torch.dtype,
    updates: int = WARM_UP + REPLAYED,
    frozen_until: int = 0,
) -> torch.Tensor:
    module, _ = module_and_batch(name, dims, device)
    # Adam divides by the size of a gradient: where that is near 0, the order of a sum decides how a weight moves.
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    if captured:
        module.capture_steps()
    losses = []
    for update in range(updates):
        module.encoder.requires_grad_(update >= frozen_until)
        torch.manual_seed(update)
        batch = draw_batch(name, dims, device)
        torch.manual_seed(100 + update)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        module.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    assert not captured or module.captured.is_recorded
    return torch.stack(losses).float().cpu()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.cuda)])
@pytest.mark.parametrize("name", MODULES)
def test_losses_are_those_of_training_step_by_step(
    name: str, dims: int, dtype: torch.dtype, device: torch.device
) -> None:
    if device.type == "cpu" and (dtype == torch.bfloat16 or dims == 3):
        pytest.skip("takes long without a GPU")
    expected, replayed = (_losses(name, dims, device, captured=captured, dtype=dtype) for captured in (False, True))
    torch.testing.assert_close(replayed, expected, **CLOSE)
    replays = replayed[WARM_UP:]
    assert replays.unique().numel() == len(replays)  # no batch, and no random number, was used twice


def test_what_is_frozen_may_change(device: torch.device) -> None:
    expected, replayed = (
        _losses("segmentation", 2, device, captured=captured, dtype=torch.float32, updates=10, frozen_until=WARM_UP + 2)
        for captured in (False, True)
    )
    torch.testing.assert_close(replayed, expected, **CLOSE)


@pytest.mark.cuda
def test_a_step_that_reads_a_number_is_not_recorded(device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("there is no GPU")
    module, batch = module_and_batch("rotation", 3, device)
    step = module.training_loss
    module.training_loss = lambda batch: step(batch) * (1 if float(batch["image"].float().mean()) > 0 else 2)
    module.capture_steps()
    for _ in range(WARM_UP + 2):
        module.backward(module.training_step(batch, 0))
    assert not module.captured.is_recorded
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("kind", ["rotation", "segmentation"])
def test_a_run_that_replays_its_steps_has_the_same_history(
    sslmed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    histories = []
    for captured in (False, True):
        monkeypatch.setattr(lightning_cli, "captures_steps", lambda *_, captured=captured: captured)
        run = tmp_path / str(captured)
        assert sslmed("fit", kind, "--run_dir", str(run), "--data.updates", "8", "--threads", "1") == 0
        assert json.loads((run / "results.json").read_text()).get("cuda_graphs", False) is captured
        histories.append(pd.read_csv(run / "metrics.csv").drop(columns="seconds"))
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
