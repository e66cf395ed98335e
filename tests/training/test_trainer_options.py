from pathlib import Path

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.plugins import MixedPrecision

from sslmed.training.checkpoints import AtomicCheckpointIO
from sslmed.training.run_directory import RunDirectory
from sslmed.training.trainer_options import checkpoint_callbacks, trainer_options


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
