"""The encoder of an experiment, built to see what it needs, and the memory of a job that trains it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.downstream.inference import VOXELS_AT_ONCE
from sslmed.encoders import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.experiments.arms import SLICES
from sslmed.experiments.check import build_encoder as build
from sslmed.experiments.check import parse
from sslmed.experiments.configs import config_root
from sslmed.experiments.grid import Grid

SIDE = 48
"""Least voxels along each side of the volume that an encoder is tried on: of the largest crops without a GPU."""

PROCESS = 3 * 2**28
"""What a job takes whatever it trains, in bytes: libraries, or CUDA; measured: 0.55 to 0.65 GiB."""

WEIGHTS = 9
"""Times the weights: themselves, gradients, two moments of Adam, checkpoints, and what a run of the same job before it
left. Measured: up to 8.3 (ResNet-18)."""

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

CHECKPOINTS = 2  # of a run: best and last


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
        return self.of_update(max(voxels, VOXELS_AT_ONCE / self.images))

    def of_update(self, voxels: float) -> float:
        """Return the bytes for images of so many voxels that are never cut into windows."""
        return self.constant + self.per_voxel * self.images * voxels

    def slowness(self, voxels: int, usual: "Memory", usual_voxels: int) -> float:
        """Return how many times as long as the usual update one of these takes, by what both hold; at least 1."""
        return max(1.0, (self.of_update(voxels) - PROCESS) / (usual.of_update(usual_voxels) - PROCESS))

    def voxels(self, room: float) -> float:
        """Return the most voxels of a crop whose update fits in so many bytes."""
        return (room - self.constant) / (self.per_voxel * self.images)


def build_encoder(grid: Grid, spatial_dims: int = 3) -> Encoder:
    """Build the encoder for images of one channel."""
    files = [config_root() / file for file in ("base.yaml", *grid.experiment.finetuning)]
    files += grid.encoder_files(_suffixes(spatial_dims))
    configs = [argument for file in files for argument in ("-c", str(file))]
    return build(parse([*configs, "--data.store", "none", "--run_dir", "none"]), spatial_dims, 1)


def _suffixes(spatial_dims: int) -> list[str]:
    """Return the suffixes of the overlays for images of these dimensions."""
    return [""] if spatial_dims == 3 else ["", SLICES]


def _parts(grid: Grid, encoder: Encoder) -> list[nn.Module]:
    """Return the encoder, with a decoder if it is to segment."""
    return [encoder, *([UNetDecoder(encoder, 1)] if grid.takes_slices else [])]


def _weight_bytes(parts: Sequence[nn.Module]) -> int:
    return sum(weight.nbytes for part in parts for weight in part.parameters())


def disk_of(grid: Grid, encoder: Encoder, usual: Encoder) -> float:
    """Return the MiB on disk of a run: what the preset says of its usual encoder, with checkpoints of this one."""
    more = _checkpoint_bytes(_parts(grid, encoder)) - _checkpoint_bytes(_parts(grid, usual))
    return max(0.0, grid.preset.estimate.disk_mib + CHECKPOINTS * more / 2**20)


def _checkpoint_bytes(parts: Sequence[nn.Module]) -> int:
    """Return the bytes of a checkpoint: weights, two moments of Adam for each, and buffers, such as Swin's indices."""
    return 3 * _weight_bytes(parts) + sum(buffer.nbytes for part in parts for buffer in part.buffers())


def memory_of(grid: Grid, encoder: Encoder) -> Memory:
    """Return the memory of a job of this grid with this encoder."""
    names = [f"{name}{suffix}.yaml" for name in ("run", "pretrain") for suffix in _suffixes(encoder.spatial_dims)]
    contents = [read_yaml(path) for name in names for path in grid.overlay(name)]
    images = IMAGES * find_setting(contents, "data.batch_size", BATCH)
    saved = saved_bytes(encoder)
    of_all, of_largest = HELD[grid.preset.estimate.device]
    per_voxel = of_all * sum(saved) + of_largest * max(saved)
    return Memory(PROCESS + WEIGHTS * _weight_bytes(_parts(grid, encoder)), per_voxel, images)


def saved_bytes(encoder: Encoder) -> list[float]:
    """Return what an encoder keeps of each voxel for its gradients, which sets an update's memory: bytes by tensor."""
    side = max(SIDE, 2 * encoder.reduction)  # norms need several voxels in the coarsest map
    sides = [side] * encoder.spatial_dims
    weights = {weight.untyped_storage().data_ptr() for weight in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = encoder(torch.rand(1, 1, *sides))
    del maps
    return [size / prod(sides) for size in kept.values()]
