"""The members of each family that tests go over: they are collected, so that a new one is tested without an edit."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from outside import PatchTransformer
from torch import nn

from sslmed import encoders, pretext
from sslmed.encoders import Encoder, ResidualEncoder, ResNetEncoder
from sslmed.experiments.configs import config_root
from sslmed.experiments.experiment import read_experiment
from sslmed.pretext import PretextTask


def members(package: ModuleType, base: type) -> dict[str, Any]:
    """Classes that a package exports, without the abstract ones."""
    exported = {name: getattr(package, name) for name in package.__all__}
    return {
        name: each
        for name, each in exported.items()
        if isinstance(each, type) and issubclass(each, base) and not inspect.isabstract(each)
    }


TASKS: dict[str, Callable[..., PretextTask[Any]]] = members(pretext, PretextTask)

SMALL: dict[str, dict[str, Any]] = {
    "UNetEncoder": {"widths": (2, 3, 4)},
    "DenseNetEncoder": {"block_config": (1, 2, 1), "growth_rate": 2, "init_features": 4},
    "ResidualEncoder": {"features_per_stage": (2, 3, 3), "n_blocks_per_stage": (1, 1, 2)},
    "SwinEncoder": {"embed_dim": 4, "depths": (1, 2), "num_heads": (1, 2), "window_size": 3},
    "ResNetEncoder": {"widths": (2, 3, 4, 5), "depths": (1, 2, 1, 1)},
}
"""Arguments that make an encoder small; one that is not here is tested as it is."""

ENCODERS: dict[str, Callable[[int, int], Encoder]] = {
    name: partial(each, **SMALL.get(name, {})) for name, each in members(encoders, Encoder).items()
}
ENCODERS |= {
    "fine-resnet": partial(ResNetEncoder, **SMALL["ResNetEncoder"], stem_stride=1),
    "flat-residual": lambda dims, channels, norm="batch": ResidualEncoder(
        *(dims, channels, (2, 3, 4), (1, 2, 1)),
        strides=(1, (2,) * dims, (2,) * (dims - 1) + (1,)),
        kernel_sizes=(3, (3,) * (dims - 1) + (1,), 3),
        norm=norm,
    ),
    "transformer": partial(PatchTransformer, width=4, reductions=(8,)),
    "pyramid": partial(PatchTransformer, width=4, reductions=(3, 6, 24)),
}


def move_from_zero(network: nn.Module) -> None:
    """Change weights that are all 0 at first, behind which no gradient reaches anything: those of residual branches."""
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)


PRESETS = sorted(
    (path.parents[1].name, path.parent.name) for path in Path(config_root() / "presets").glob("*/*/preset.yaml")
)
"""Figure and preset."""

DIMS = {"pancreas": (3,), "brain": (3,), "fundus": (2,), None: (2, 3)}
"""What a figure's images are, by its phantom: those of the user's own data may be either."""

PRESETS_BY_DIMS = [
    (figure, preset, dims) for figure, preset in PRESETS for dims in DIMS[read_experiment(figure).phantom]
]
"""Figure, preset and dimensions of the images."""
