"""Everything that is trained makes updates in every precision, with clipped gradients and a fused optimizer."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet
from built_runs import Built, build_runs
from families import ENCODERS, PRESETS_BY_DIMS
from outside import PatchTransformer
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.plugins import MixedPrecision, Precision
from torch.amp import GradScaler
from torch.optim import AdamW
from torch.utils.data import DataLoader
from trained_modules import MODULES, draw_batch, module_and_batch

from sslmed.downstream.base import DownstreamTask
from sslmed.encoders import DenseNetEncoder
from sslmed.experiments.experiment import read_experiment
from sslmed.learning.clipping import ClipEachGradient
from sslmed.learning.layout import store_channels_last
from sslmed.learning.optimization import Optimization

PRECISIONS = ["32-true", "bf16-mixed", "16-mixed"]
SMALLER = {  # they take patches of 5 voxels
    "DenseNetEncoder": partial(DenseNetEncoder, block_config=(1, 1), growth_rate=4, init_features=4),
    "transformer": partial(PatchTransformer, width=4),
}
NETWORKS = ENCODERS | SMALLER
NETWORKS.pop("pyramid")  # takes images of 24 voxels and more
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def combinations() -> Iterator[ParameterSet]:
    """Every task on every network in bfloat16; in others, each task and network once, and maps from each network.

    No code is of a precision, a task and a network at once, so pairs of them find what all three would.
    """
    for name in MODULES:
        for network in NETWORKS:
            usual = network == "UNetEncoder" or name == "classes"
            yield pytest.param(name, network, "bf16-mixed", marks=() if usual else pytest.mark.slow)
            if usual or name == "segmentation":
                for precision in ("32-true", "16-mixed"):
                    yield pytest.param(name, network, precision, marks=[pytest.mark.slow, pytest.mark.long])


def plugin(precision: str, device: str) -> Precision:
    """Lightning replaces float16 on a CPU by bfloat16, unless it is given the plugin."""
    if precision == "32-true":
        return Precision()
    # The usual first scale, 65536, overflows and skips a few updates until it fits.
    scaler = GradScaler(device, init_scale=256.0) if precision == "16-mixed" else None
    return MixedPrecision(precision, device, scaler)  # type: ignore[arg-type]


def two_updates(
    module: LightningModule, batch: dict[str, Any], precision: str, device: str = "cpu", **options: Any
) -> None:
    """Train, and check that losses and weights are finite, and that weights have changed."""
    before = {key: each.detach().cpu().clone() for key, each in module.named_parameters()}
    batch["case"] = [f"case {number}" for number in range(len(batch["image"]))]
    batches = DataLoader([batch] * 2, batch_size=None)
    trainer = Trainer(max_epochs=1, accelerator=device, plugins=[plugin(precision, device)], **QUIET, **options)
    trainer.fit(module, batches, DataLoader([batch], batch_size=None))
    assert trainer.global_step == 2
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert trainer.callback_metrics["val/loss"].isfinite()
    assert all(each.isfinite().all() for each in module.parameters())
    assert any(not torch.equal(each.cpu(), before[key]) for key, each in module.named_parameters())


@pytest.mark.parametrize(("name", "network", "precision"), combinations())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_task_on_every_network(name: str, network: str, precision: str) -> None:
    if name == "segmentation" and network == "transformer":
        pytest.skip("the U-Net's decoder needs maps that double")
    if network == "ResNetEncoder" and name in ("mae", "mae-block", "joint"):
        pytest.skip("a block to hide would be the whole image")
    torch.manual_seed(0)
    module = MODULES[name](NETWORKS[network](3, 1))
    module.optimization = Optimization(lambda parameters: AdamW(parameters, lr=1e-3, fused=True))
    store_channels_last(module)
    batch = draw_batch(name, 3, "cpu")
    two_updates(module, batch, precision, callbacks=[ClipEachGradient(1.0)], gradient_clip_val=1.0)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("suffix", ["", "-2d"])
@pytest.mark.parametrize(("figure", "preset", "dims"), PRESETS_BY_DIMS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_preset(figure: str, preset: str, dims: int, suffix: str, tmp_path: Path, device: torch.device) -> None:
    experiment = read_experiment(figure)
    if suffix and (dims == 2 or experiment.task != "segmentation"):
        pytest.skip("only volumes with label maps have slices")
    if preset != "quick" and device.type == "cpu":
        pytest.skip("it takes a GPU")
    arms = [f"{arm}{suffix}" for arm in experiment.arms]
    for built in build_runs(figure, preset, arms, tmp_path, spatial_dims=dims):
        options = {"gradient_clip_val": built.trainer.gradient_clip_val}
        clipping = [each for each in built.trainer.callbacks if isinstance(each, ClipEachGradient)]
        for precision in PRECISIONS:
            module = copy.deepcopy(built.model)
            torch.manual_seed(0)
            two_updates(module, preset_batch(built), precision, device.type, callbacks=clipping, **options)


@pytest.mark.parametrize("name", ["segmentation", "classes", "grades", "values"])
def test_mixed_precision_does_not_round_the_loss_of_labels(name: str) -> None:
    module, batch = module_and_batch(name, 3, "cpu")
    outputs: list[torch.Tensor] = []
    hook = module.register_forward_hook(lambda *each: outputs.append(each[-1]))
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = module.training_loss(batch)
    hook.remove()
    module.forward = lambda _: outputs[0].float()
    torch.manual_seed(1)
    assert found.item() == pytest.approx(module.training_loss(batch).item(), rel=1e-6)


def preset_batch(built: Built) -> dict[str, Any]:
    """Two images of the size that the preset prepares, with labels."""
    data = built.data
    sides = [data.store.settings.size] * data.spatial_dims
    labels = {
        "segmentation": lambda: torch.randint(2, (2, *sides)).byte(),
        "classification": lambda: torch.randint(2, (2,)),
        "regression": lambda: torch.rand(2),
    }
    label = labels[built.model.kind]() if isinstance(built.model, DownstreamTask) else torch.zeros(2)
    return {"image": torch.rand(2, data.in_channels, *sides).half(), "label": label}
