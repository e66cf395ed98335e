"""The encoder of an experiment, built to see what it needs."""

import torch
from torch import Tensor

from sslmed.encoders import Encoder
from sslmed.experiments.check import build_encoder as build
from sslmed.experiments.check import parse
from sslmed.experiments.configs import config_root
from sslmed.experiments.grid import Grid

SIDE = 64
"""Voxels along each side of the volume that memory is compared with."""


def build_encoder(grid: Grid) -> Encoder:
    """Build the encoder for volumes of one channel."""
    files = [config_root() / file for file in ("base.yaml", *grid.experiment.finetuning)]
    configs = [argument for file in [*files, *grid.encoder_files([""])] for argument in ("-c", str(file))]
    return build(parse([*configs, "--data.store", "none", "--run_dir", "none"]), 3, 1)


def saved_bytes(encoder: Encoder) -> int:
    """Return what an encoder keeps of one volume for its gradients, in bytes. This sets the memory of an update."""
    weights = {weight.untyped_storage().data_ptr() for weight in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = encoder(torch.rand(1, 1, *[SIDE] * 3))
    del maps
    return sum(kept.values())
