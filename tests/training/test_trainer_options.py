import inspect
from pathlib import Path

import pytest
import torch
from commands import Command, exit_status
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.plugins import MixedPrecision

from sslmed.core.errors import UserError
from sslmed.training import trainer_options as trainer_options_module
from sslmed.training.checkpoints import AtomicCheckpointIO, checkpoint_callbacks
from sslmed.training.run_directory import RunDirectory
from sslmed.training.trainer_options import FIXED, trainer_options


def test_what_the_user_configures_stays(tmp_path):
    run = RunDirectory(tmp_path)
    nothing = {"plugins": None, "logger": None, "enable_progress_bar": None, "max_epochs": 3}
    options = trainer_options(nothing, LightningModule(), run)
    assert options["logger"] is False
    assert options["max_epochs"] == 3
    assert list(map(type, options["plugins"])) == [AtomicCheckpointIO, LightningEnvironment]

    precision = MixedPrecision("bf16-mixed", "cpu")
    for plugins in (precision, [precision]):
        given = {"logger": "mine", "enable_progress_bar": True, "default_root_dir": "there"}
        options = trainer_options({**given, "plugins": plugins}, LightningModule(), run)
        assert options.pop("plugins")[2:] == [precision]
        assert options == given


class _Tied(BoringModel):
    """Whose validation score is the same after every pass."""

    def on_validation_epoch_end(self) -> None:
        self.log("val/score", 0.5)


def test_of_equally_good_checkpoints_the_later_one_is_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    trainer = Trainer(
        max_epochs=3,
        limit_train_batches=2,
        limit_val_batches=1,
        accelerator="cpu",
        logger=False,
        callbacks=list(checkpoint_callbacks(run, "val/score", "max")),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(_Tied())
    assert torch.load(run.best, weights_only=True)["global_step"] == 6


def test_a_precision_that_the_processor_emulates_is_named(sslmed: Command, tmp_path: Path, monkeypatch, caplog) -> None:
    run = str(tmp_path / "run")
    monkeypatch.setattr(trainer_options_module, "computes_bf16", lambda: True)
    assert sslmed("fit", "rotation", "--run_dir", run, "--trainer.precision", "bf16-mixed") == 0
    assert "this processor" not in caplog.text
    monkeypatch.setattr(trainer_options_module, "computes_bf16", lambda: False)
    validate = ["validate", "-c", f"{run}/config.yaml"]
    assert exit_status(*validate) == 0
    (said,) = [each for each in caplog.messages if "this processor" in each]
    assert said.startswith("trainer.precision is bf16-mixed")
    assert said.endswith("set --trainer.precision 32-true")
    caplog.clear()
    assert exit_status(*validate, "--trainer.precision", "32-true") == 0
    assert "this processor" not in caplog.text


OTHERWISE = {
    "accumulate_grad_batches": 2,
    "barebones": True,
    "check_val_every_n_epoch": 2,
    "enable_checkpointing": False,
    "fast_dev_run": True,
    "limit_predict_batches": 1,
    "limit_test_batches": 0.5,
    "limit_train_batches": 0,
    "limit_val_batches": 0,
    "max_steps": 2,
    "max_time": "00:00:00:01",
    "min_epochs": 1,
    "min_steps": 1,
    "overfit_batches": 1,
    "reload_dataloaders_every_n_epochs": 1,
    "val_check_interval": 0.5,
}


def test_whatever_shortens_repeats_or_skips_is_refused_and_lightnings_defaults_are_not(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert OTHERWISE.keys() == FIXED.keys()
    defaults = {name: parameter.default for name, parameter in inspect.signature(Trainer).parameters.items()}
    assert trainer_options(defaults, LightningModule(), run)
    for name, value in OTHERWISE.items():
        with pytest.raises(UserError, match=f"trainer.{name} is "):
            trainer_options({**defaults, name: value}, LightningModule(), run)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trainer.accumulate_grad_batches", "2"], "trainer.accumulate_grad_batches is 2, expected 1"),
        (["--trainer.limit_train_batches", "1"], "trainer.limit_train_batches is 1"),
        (["--trainer.precision", "bf16-true"], "trainer.precision is bf16-true, expected 32-true"),
        (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"], "has EarlyStopping"),
        (["--trainer.callbacks+=Timer", "--trainer.callbacks.duration=00:00:00:01"], "has Timer"),
        (["--trainer.accelerator", "tpu"], "trainer: "),
    ],
)
def test_the_command_refuses_it_in_one_line_before_training(
    sslmed: Command, tmp_path: Path, capsys, options: list[str], words: str
) -> None:
    assert sslmed("fit", "rotation", "--run_dir", str(tmp_path / "run"), *options) == 2
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_run_that_something_else_stops_early_has_no_results(
    sslmed: Command, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stopping_callbacks.py").write_text(
        "from pytorch_lightning import Callback\n\n\nclass Impatient(Callback):\n"
        "    def on_train_epoch_end(self, trainer, pl_module):\n        trainer.should_stop = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    options = ["--trainer.callbacks+=stopping_callbacks.Impatient", "--run_dir", str(run)]
    assert sslmed("fit", "rotation", *options) == 1
    assert "training stopped after 2 of 4 updates" in capsys.readouterr().err
    assert not (run / "results.json").exists()
