from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import LightningModule
from pytorch_lightning.plugins import MixedPrecision

from sslmed.training.checkpoints import AtomicCheckpointIO
from sslmed.training.run_directory import RunDirectory
from sslmed.training.trainer_options import trainer_options


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
