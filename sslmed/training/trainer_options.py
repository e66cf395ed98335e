"""Options of every run's trainer: those that are not in its configuration, and those that must not be."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, GradientAccumulationScheduler, Timer
from pytorch_lightning.strategies import SingleDeviceStrategy

from sslmed.core.errors import UserError
from sslmed.core.machine import computes_bf16
from sslmed.downstream.base import DownstreamTask
from sslmed.learning.distributed import world_size
from sslmed.learning.learner import Learner
from sslmed.training.checkpoints import AtomicCheckpointIO
from sslmed.training.run_directory import RunDirectory

log = logging.getLogger(__name__)

FIXED: Mapping[str, tuple[Any, ...]] = {
    "accumulate_grad_batches": (1,),
    "barebones": (False,),
    "check_val_every_n_epoch": (1,),
    "enable_checkpointing": (None, True),
    "fast_dev_run": (False,),
    "limit_predict_batches": (None,),
    "limit_test_batches": (None,),
    "limit_train_batches": (None,),
    "limit_val_batches": (None,),
    "max_steps": (-1,),
    "max_time": (None,),
    "min_epochs": (None,),
    "min_steps": (None,),
    "overfit_batches": (0.0, 0),
    "reload_dataloaders_every_n_epochs": (0,),
    "val_check_interval": (None,),
}
"""Arguments of Lightning's trainer that shorten, repeat or skip a part of training or scoring -> values that do not."""

FIXED_CALLBACKS = (EarlyStopping, GradientAccumulationScheduler, Timer)
"""Callbacks that do so."""

CAPTURED_PRECISIONS = ("32-true", "bf16-mixed")
"""Precisions of steps that can be replayed as a CUDA graph. That of float16 scales losses by a number that changes."""

KNOWN_PACKAGES = {"sslmed", "torch", "monai"}
"""Packages whose modules do the same for every batch."""


def trainer_options(config: Mapping[str, Any], model: LightningModule, run: RunDirectory) -> dict[str, Any]:
    """Complete the trainer's arguments of a run. Those in its configuration take precedence.

    Raises:
        UserError: If an argument or a callback would shorten, repeat or skip a part of training or scoring.
    """
    _check_fixed(config)
    defaults: dict[str, Any] = {
        "default_root_dir": str(run.path),
        "logger": False,
        "enable_progress_bar": sys.stderr.isatty(),
    }
    given = {name: value for name, value in config.items() if value is not None}
    plugins = given.get("plugins", [])
    given["plugins"] = [*_own_plugins(), *(plugins if isinstance(plugins, list) else [plugins])]
    return {**config, **defaults, **given, **(_distributed_options(config, model) if world_size() > 1 else {})}


def captures_steps(chosen: Literal["auto"] | bool, trainer: Trainer, model: LightningModule) -> bool:
    """Decide whether training steps are replayed as a CUDA graph.

    Args:
        chosen: `auto` replays them where that is possible and all code is known to do the same for every batch: that of
            the user's own tasks and encoders is not.
        trainer: Trainer of the run.
        model: What is trained.

    Raises:
        UserError: If it is impossible and was requested.
    """
    device, deterministic = trainer.strategy.root_device.type, torch.are_deterministic_algorithms_enabled()
    possible = (
        device == "cuda"
        and isinstance(trainer.strategy, SingleDeviceStrategy)  # others wrap the module
        and trainer.precision in CAPTURED_PRECISIONS
        and not deterministic  # some deterministic kernels wait for the GPU, which a graph cannot do
        and type(model).training_step is Learner.training_step
    )
    if chosen is True and not possible:
        raise UserError(
            f"--cuda_graphs true needs one GPU per run, a precision of {', '.join(CAPTURED_PRECISIONS)}, no "
            f"trainer.deterministic, and a task with no training_step of its own; the run has {trainer.world_size} "
            f"device(s) ({device}), {trainer.precision}, deterministic {deterministic}, and {type(model).__name__}: "
            "choose auto"
        )
    packages = {type(part).__module__.partition(".")[0] for part in model.modules()}
    return possible and (packages <= KNOWN_PACKAGES if chosen == "auto" else chosen)


def warn_of_emulation(trainer: Trainer) -> None:
    """Say that this machine's processor only emulates the precision of a run, as one that was trained elsewhere."""
    if trainer.strategy.root_device.type == "cpu" and trainer.precision.startswith("bf16") and not computes_bf16():
        log.warning(
            "trainer.precision is %s: this processor has no instructions for bfloat16 and takes many times longer; "
            "set --trainer.precision 32-true",
            trainer.precision,
        )


def _check_fixed(config: Mapping[str, Any]) -> None:
    budget = "every run trains for data.updates (or data.epochs) and is scored on all cases, or runs do not compare"
    for name, allowed in FIXED.items():
        value = config.get(name, allowed[0])
        if value not in allowed:  # not 1.0 for all batches either: the parser may give 1, one batch, as 1.0
            raise UserError(f"trainer.{name} is {value}, expected {allowed[0]}: {budget}")
    clip, nodes = config.get("gradient_clip_val"), config.get("num_nodes", 1)
    if clip is not None and not clip >= 0:
        raise UserError(f"trainer.gradient_clip_val is {clip}, expected a number from 0; 0 does not clip")
    if nodes != 1:
        raise UserError(f"trainer.num_nodes is {nodes}, expected 1: the devices of a run are those of one machine")
    if (precision := config.get("precision")) in ("bf16-true", "16-true"):
        raise UserError(
            f"trainer.precision is {precision}, expected 32-true, bf16-mixed or 16-mixed: with this one, the places of "
            "crops and all other random numbers would be rounded, too"
        )
    callbacks = config.get("callbacks") or []
    for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
        if isinstance(callback, FIXED_CALLBACKS):
            raise UserError(f"trainer.callbacks has {type(callback).__name__}, remove it: {budget}")


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
