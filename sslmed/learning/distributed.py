"""Several processes (ranks) that train one network, each on a device of its own, and each on its share of every batch.

They are started by torchrun, which tells each its number; Lightning's DDP averages their gradients. A batch of training
is divided into equal shares. A batch of evaluation is whole on one rank, so that scores are those of a single process.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from sslmed.core.errors import UserError

Key = TypeVar("Key")
Value = TypeVar("Value")


def rank() -> int:
    """Number of this process; 0 if it is the only one. Known before the processes are connected."""
    return int(os.environ["RANK"]) if dist.is_torchelastic_launched() else 0


def world_size() -> int:
    """Number of processes that train one network."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def check_processes(devices: object) -> None:
    """Refuse a number of devices that is not that of the processes.

    Raises:
        UserError: If they differ.
    """
    count = len(devices) if isinstance(devices, list) else devices
    if str(count) != str(world_size()):
        msg = (
            f"trainer.devices is {devices}, but this run has {world_size()} process(es): a run on N devices is started "
            "as N processes, by torchrun --nproc-per-node N -m sslmed fit … --trainer.devices N"
        )
        raise UserError(msg)


def share_size(batch_size: int, n_ranks: int) -> int:
    """Size of each rank's share of a batch.

    Raises:
        UserError: If the shares would be unequal: the mean of the ranks' gradients would not be that of the batch.
    """
    if batch_size % n_ranks:
        msg = (
            f"batches of {batch_size} cases cannot be divided equally among {n_ranks} devices: choose "
            "data.batch_size (no larger than the number of training cases, in pretraining) or the devices accordingly"
        )
        raise UserError(msg)
    return batch_size // n_ranks


def gather(share: Tensor) -> Tensor:
    """Concatenate the shares `(B, …)` of all ranks, this rank's first and the others' in cyclic order.

    Gradients flow back to the rank that a share came from, summed over the ranks' losses. DDP then divides by the
    number of ranks, which leaves the gradient of the mean of their losses.
    """
    if world_size() == 1:
        return share
    shares: tuple[Tensor, ...] = _AllGather.apply(share)  # type: ignore[no-untyped-call]
    return torch.cat(shares[rank() :] + shares[: rank()])


class _AllGather(torch.autograd.Function):
    # torch.distributed.nn has one that torch 2.13 deprecates, and the successor that it names is in a private module.
    @staticmethod
    def forward(ctx: FunctionCtx, share: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        share = share.contiguous()
        shares = [torch.empty_like(share) for _ in range(world_size())]
        dist.all_gather(shares, share)
        return tuple(shares)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        summed = torch.stack(gradients)
        dist.all_reduce(summed)
        return summed[rank()]


def merge(own: Mapping[Key, Value]) -> dict[Key, Value]:
    """Put together what the ranks found out; where several have a key, the first rank's value counts."""
    if world_size() == 1:
        return dict(own)
    parts: Sequence[Any] = [None] * world_size()
    dist.all_gather_object(parts, own)
    return {key: value for part in reversed(parts) for key, value in part.items()}
