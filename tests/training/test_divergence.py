"""A run whose loss is no longer finite ends, and what it would leave is not loaded."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from commands import Command
from pytorch_lightning.demos.boring_classes import BoringModel

from sslmed.core.errors import RunError, UserError
from sslmed.encoders import UNetEncoder, load_encoder
from sslmed.training.divergence import UPDATES_BETWEEN_LOOKS, StopAtDivergence

WILD = ["--model.optimization.optimizer=torch.optim.SGD", "--model.optimization.schedule=constant"]


@pytest.mark.parametrize("kind", ["rotation", "segmentation"])
def test_the_run_ends_with_one_line_that_names_the_update(
    sslmed: Command, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from sslmed.downstream import Segmentation
    from sslmed.pretext import Rotation

    for task in (Rotation, Segmentation):

        def training_step(self, batch, batch_idx: int, compute=task.training_step):
            return compute(self, batch, batch_idx) * (math.nan if self.global_step == 2 else 1)

        monkeypatch.setattr(task, "training_step", training_step)
    run = tmp_path / "run"
    assert sslmed("fit", kind, "--run_dir", str(run)) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("update 3 of 4: the loss is nan: training has diverged; lower the learning rate")
    assert message in (run / "run.log").read_text()
    assert not (run / "results.json").exists()
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    assert all(tensor.isfinite().all() for tensor in last["state_dict"].values())


def test_a_learning_rate_that_breaks_the_weights_in_the_last_update_is_found(
    sslmed: Command, tmp_path: Path, capsys
) -> None:
    short = ["--data.updates", "1", "--data.validations", "1", "--run_dir", str(tmp_path)]
    assert sslmed("fit", "rotation", *WILD, "--model.optimization.optimizer.lr=1e38", *short) == 1
    assert "update 1 of 1: " in capsys.readouterr().err
    assert not list(tmp_path.glob("checkpoints/*.ckpt"))


class _FakeTrainer(SimpleNamespace):
    precision = "bf16-mixed"
    estimated_stepping_batches = 500


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_losses_on_a_device_are_read_together(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    callback, trainer = StopAtDivergence(), _FakeTrainer(global_step=0)
    losses = torch.ones(UPDATES_BETWEEN_LOOKS, device=device)  # meta tensors cannot be read
    losses[36] = math.inf
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        for loss in losses[:-1]:
            trainer.global_step += 1
            callback.on_train_batch_end(trainer, BoringModel(), {"loss": loss}, None, 0)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    trainer.global_step += 1
    message = "update 37 of 500: the loss is inf.*trainer.precision"
    expected, match = (RunError, message) if device == "cuda" else (NotImplementedError, "")
    with pytest.raises(expected, match=match):
        callback.on_train_batch_end(trainer, BoringModel(), {"loss": losses[-1]}, None, 0)


def test_the_update_is_exact_however_many_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslmed.training.divergence.world_size", lambda: 2)  # not read at once
    callback, trainer = StopAtDivergence(), _FakeTrainer(global_step=200)  # resumed
    for value in (1.0, 2.0, math.nan, math.inf, math.nan):
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, BoringModel(), {"loss": torch.tensor(value)}, None, 0)
    with pytest.raises(RunError, match="update 203 of 500: the loss is nan"):
        callback.on_validation_start(trainer, BoringModel())


@pytest.mark.slow
def test_a_checkpoint_with_values_that_are_not_finite_is_refused_wherever_it_is_loaded(
    sslmed: Command, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, tune = tmp_path / "run", ["--run_dir", str(tmp_path / "tune")]
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 0
    last = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    name = next(key for key in checkpoint["state_dict"] if key.startswith("encoder.") and key.endswith("conv.weight"))
    checkpoint["state_dict"][name].view(-1)[5] = math.nan
    torch.save(checkpoint, last)
    with pytest.raises(UserError, match=f"1 of .* tensors are not finite .first {name}.*learning rate"):
        load_encoder(UNetEncoder(3, 1, widths=(4, 8)), last)
    assert sslmed("fit", "segmentation", *tune, "--model.pretrained.checkpoint", str(last)) == 2
    assert "not finite" in capsys.readouterr().err
    (run / "results.json").unlink()
    assert sslmed("fit", "rotation", "--run_dir", str(run)) == 2  # to be resumed
    assert "not finite" in capsys.readouterr().err
