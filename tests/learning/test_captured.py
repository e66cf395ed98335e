"""Training by replaying a recorded step learns what training step by step learns.

Without a GPU, the recorded operations are repeated one by one.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from commands import Command
from graph_on_cpu import use_graphs_on_cpu
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from trained_modules import MODULES, draw_batch, module_and_batch

from sslmed.core.errors import UserError
from sslmed.encoders import UNetEncoder
from sslmed.learning.captured import WARM_UP, CapturedStep
from sslmed.pretext import Joint, Rotation, SimCLR
from sslmed.training import lightning_cli
from sslmed.training.trainer_options import captures_steps

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


def test_parameters_may_be_added_replaced_and_moved(device: torch.device) -> None:
    weights = torch.nn.ParameterList([torch.ones(2)]).to(device)

    def step(batch: dict[str, Any]) -> torch.Tensor:
        return sum((index + 1) * (batch["image"] * each).sum() for index, each in enumerate(weights))

    captured = CapturedStep(step, weights.parameters)
    image = torch.tensor([1.0, 2.0], device=device)
    changes = {
        WARM_UP + 2: lambda: weights.append(torch.nn.Parameter(torch.ones(2, device=device))),
        2 * WARM_UP + 4: lambda: weights.__setitem__(0, torch.nn.Parameter(torch.full((2,), 3.0, device=device))),
        3 * WARM_UP + 6: lambda: setattr(weights[0], "data", torch.full((2,), 5.0, device=device)),
    }
    for update in range(4 * WARM_UP + 8):
        changes.get(update, lambda: None)()
        loss = captured({"image": image + update})
        captured.set_gradients()
        torch.testing.assert_close(loss, step({"image": image + update}).detach())
        for index, each in enumerate(weights):
            torch.testing.assert_close(each.grad, (index + 1) * (image + update))
            each.grad = None
    assert captured.is_recorded


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


def _on_a_gpu(strategy: Strategy | None = None) -> Trainer:
    placed = SingleDeviceStrategy("cuda:0") if strategy is None else strategy
    return SimpleNamespace(strategy=placed, precision="32-true", world_size=1)  # type: ignore[return-value]


class OwnTask(Rotation):
    """Might do something else in Python for every batch."""


class OwnEncoder(UNetEncoder):
    """Might do so too."""


class OwnStep(Rotation):
    """Computes more than the loss that is recorded."""

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        return super().training_step(batch, batch_idx) + sum(each.norm() for each in self.parameters())


OWN = {
    "task": lambda encoder: OwnTask(encoder),
    "encoder": lambda encoder: Rotation(OwnEncoder(2, 1, widths=(4, 8))),
    "one of several tasks": lambda encoder: Joint(encoder, tasks=(OwnTask, SimCLR)),
}


@pytest.mark.parametrize("name", MODULES)
def test_auto_replays_all_that_is_ours(name: str) -> None:
    assert captures_steps("auto", _on_a_gpu(), module_and_batch(name, 2, "cpu")[0])


@pytest.mark.parametrize("kind", OWN)
def test_steps_of_the_users_own_code_are_replayed_only_on_request(kind: str) -> None:
    model = OWN[kind](UNetEncoder(2, 1, widths=(4, 8)))
    assert not captures_steps("auto", _on_a_gpu(), model)
    assert captures_steps(True, _on_a_gpu(), model)


@pytest.mark.parametrize("model", [OwnStep(UNetEncoder(2, 1, widths=(4, 8))), LightningModule()])
def test_a_training_step_of_the_users_own_is_never_replayed(model: LightningModule) -> None:
    assert not captures_steps("auto", _on_a_gpu(), model)
    with pytest.raises(UserError, match=r"cuda_graphs true needs .* no training_step of its own"):
        captures_steps(True, _on_a_gpu(), model)


def test_a_strategy_that_wraps_the_module_is_not_replayed() -> None:
    ddp = DDPStrategy(parallel_devices=[torch.device("cuda", 0)])
    assert not captures_steps("auto", _on_a_gpu(ddp), module_and_batch("rotation", 2, "cpu")[0])


@pytest.mark.parametrize("kind", ["rotation", pytest.param("segmentation", marks=pytest.mark.slow)])
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


@pytest.mark.slow
def test_gradual_unfreezing_gives_the_same_weights(sslmed: Command, tmp_path: Path, monkeypatch) -> None:
    pretrained = tmp_path / "pretrained"
    assert sslmed("fit", "rotation", "--run_dir", str(pretrained)) == 0
    options = ["checkpoint", str(pretrained / "checkpoints" / "last.ckpt"), "frozen_fraction", "0.25"]
    options += ["unfreezing_fraction", "0.5", "layer_decay", "0.5"]
    chosen = [f"--model.pretrained.{each}" if index % 2 == 0 else each for index, each in enumerate(options)]
    weights = []
    for captured in (False, True):
        monkeypatch.setattr(lightning_cli, "captures_steps", lambda *_, captured=captured: captured)
        run = tmp_path / str(captured)
        # Two blocks: both are frozen, then one, then none, each for longer than a step takes to be recorded.
        assert sslmed("fit", "segmentation", "--run_dir", str(run), *chosen, "--data.updates", "20") == 0
        weights.append(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert json.loads((run / "results.json").read_text())["cuda_graphs"] is True
    torch.testing.assert_close(weights[1], weights[0], **CLOSE)
