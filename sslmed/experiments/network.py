"""The encoder of an experiment, built to see what it needs, and the memory of a job that trains it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.downstream.inference import VOXELS_AT_ONCE
from sslmed.encoders import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.experiments.check import build_encoder as build
from sslmed.experiments.check import parse
from sslmed.experiments.configs import config_root
from sslmed.experiments.grid import Grid

SIDE = 48
"""Least voxels along each side of the volume that an encoder is tried on: of the largest crops without a GPU."""

PROCESS = 3 * 2**28
"""What a job takes whatever it trains, in bytes: libraries, or CUDA; measured: 0.55 to 0.65 GiB."""

WEIGHTS = 6
"""Times the weights: themselves, gradients, two moments of Adam, and a checkpoint. Measured: up to 6."""

HELD = {"core": (3.5, 6.0), "GPU": (2.0, 0.0)}
"""Memory of an update, by the device that a preset is for, over what the encoder saves in float32 for its gradients,
and over the largest tensor of that.

Freed memory is kept (`core.memory`), and its gaps are often too small for the largest tensors. So on a CPU the same
job takes more or less: Swin on 48³ 6.7 to 10.7 GiB, in steps of its maps of attention. Measured on an H100: 1.3 of
what is saved (U-Net), in bfloat16, in which presets for GPUs train.
"""

IMAGES = 3
"""Images per case of the published task that encodes most, exemplar. DINO's four fit into what `HELD` spares."""

BATCH = 4  # of DataModule


@dataclass(frozen=True)
class Memory:
    """Says how much memory a job takes: a constant part, and one that grows with the crop.

    Attributes:
        constant: Bytes for the process and the weights.
        per_voxel: Bytes for each voxel that passes through the network.
        images: Crops that pass through it in an update.
    """

    constant: float
    per_voxel: float
    images: int

    def of(self, voxels: int) -> float:
        """Return the bytes for crops of so many voxels. Whole volumes pass in batches of windows, also small ones."""
        return self.constant + self.per_voxel * max(self.images * voxels, VOXELS_AT_ONCE)

    def voxels(self, room: float) -> float:
        """Return the most voxels of a crop whose update fits in so many bytes."""
        return (room - self.constant) / (self.per_voxel * self.images)


def build_encoder(grid: Grid) -> Encoder:
    """Build the encoder for volumes of one channel."""
    files = [config_root() / file for file in ("base.yaml", *grid.experiment.finetuning)]
    configs = [argument for file in [*files, *grid.encoder_files([""])] for argument in ("-c", str(file))]
    return build(parse([*configs, "--data.store", "none", "--run_dir", "none"]), 3, 1)


def memory_of(grid: Grid, encoder: Encoder) -> Memory:
    """Return the memory of a job of this grid with this encoder, with a decoder if it is to segment."""
    parts = [encoder, *([UNetDecoder(encoder, 1)] if grid.takes_slices else [])]
    weights = sum(weight.nbytes for part in parts for weight in part.parameters())
    contents = [read_yaml(path) for name in ("run", "pretrain") for path in grid.overlay(f"{name}.yaml")]
    images = IMAGES * find_setting(contents, "data.batch_size", BATCH)
    saved = saved_bytes(encoder)
    of_all, of_largest = HELD[grid.preset.estimate.device]
    per_voxel = of_all * sum(saved) + of_largest * max(saved)
    return Memory(PROCESS + WEIGHTS * weights, per_voxel, images)


def saved_bytes(encoder: Encoder) -> list[float]:
    """Return what an encoder keeps of each voxel for its gradients, which sets an update's memory: bytes by tensor."""
    side = max(SIDE, 2 * encoder.reduction)  # norms need several voxels in the coarsest map
    weights = {weight.untyped_storage().data_ptr() for weight in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = encoder(torch.rand(1, 1, *[side] * 3))
    del maps
    return [size / side**3 for size in kept.values()]
