"""Options of every run's trainer that are not in its configuration: checkpoints and processes."""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from sslmed.downstream.base import DownstreamTask
from sslmed.learning.distributed import world_size
from sslmed.training.checkpoints import AtomicCheckpointIO
from sslmed.training.run_directory import RunDirectory


def checkpoint_callbacks(run: RunDirectory, monitor: str, mode: str) -> list[ModelCheckpoint]:
    """Keep the best and the last checkpoint: two callbacks, because `save_last` of one only copies the best.

    Args:
        run: Directory of the run.
        monitor: Logged metric that chooses the best checkpoint.
        mode: `max` or `min`: which value is best.
    """
    return [
        _LaterWinsTies(
            run.checkpoints,
            filename=path.stem,
            monitor=monitored,
            mode=mode,
            save_on_train_epoch_end=True,  # after validation, and in a state that resumes at the next interval
            enable_version_counter=False,
        )
        for path, monitored in ((run.best, monitor), (run.last, None))
    ]


class _LaterWinsTies(ModelCheckpoint):
    """Keeps the later of two checkpoints with equal scores, which was trained for longer."""

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether to save this checkpoint."""
        is_tie = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        return is_tie or super().check_monitor_top_k(trainer, current)


def trainer_options(config: Mapping[str, Any], model: LightningModule, run: RunDirectory) -> dict[str, Any]:
    """Complete the trainer's arguments. The configuration takes precedence.

    Args:
        config: Arguments in the configuration.
        model: Model to train.
        run: Directory of the run.
    """
    defaults: dict[str, Any] = {
        "default_root_dir": str(run.path),
        "logger": False,
        "enable_progress_bar": sys.stderr.isatty(),
    }
    given = {name: value for name, value in config.items() if value is not None}
    plugins = given.get("plugins", [])
    given["plugins"] = [*_own_plugins(), *(plugins if isinstance(plugins, list) else [plugins])]
    return {**config, **defaults, **given, **(_distributed_options(config, model) if world_size() > 1 else {})}


def _own_plugins() -> list[Any]:
    plugins: list[Any] = [AtomicCheckpointIO()]
    if not TorchElasticEnvironment.detect():
        # Lightning would treat a SLURM job as one of several ranks, and requeue it on SIGUSR1.
        plugins.append(LightningEnvironment())
    return plugins


def _distributed_options(config: Mapping[str, Any], model: LightningModule) -> dict[str, Any]:
    """Options for training with several processes. Our samplers divide the batches themselves."""
    options: dict[str, Any] = {"use_distributed_sampler": False}
    # torch synchronises batch normalisation on GPUs only. On CPUs each rank normalises its own part of the batch.
    options["sync_batchnorm"] = torch.cuda.is_available() and config["accelerator"] != "cpu"
    if config["strategy"] == "auto":
        unused = isinstance(model, DownstreamTask) and model.can_freeze
        options["strategy"] = "ddp_find_unused_parameters_true" if unused else "ddp"
    return options
