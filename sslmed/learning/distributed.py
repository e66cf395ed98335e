"""Coordinates several processes (ranks) that train one network, each on its own device and its part of every batch.

They are started by torchrun, which tells each its number. Lightning's DDP averages their gradients
(https://arxiv.org/abs/2006.15704). A training batch is divided into equal parts. An evaluation batch is complete on one
rank, so scores are the same as those of a single process.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from sslmed.core.errors import UserError

Key = TypeVar("Key")
Value = TypeVar("Value")


def rank() -> int:
    """Return the number of this process; 0 if it is the only one. It is known before the processes connect."""
    return int(os.environ["RANK"]) if dist.is_torchelastic_launched() else 0


def world_size() -> int:
    """Return the number of processes that train one network."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def check_processes(devices: object) -> None:
    """Check that there are as many devices as processes.

    Args:
        devices: Lightning's `trainer.devices`: a number or a list.

    Raises:
        UserError: If the numbers differ.
    """
    count = len(devices) if isinstance(devices, list) else devices
    if str(count) != str(world_size()):
        raise UserError(
            f"trainer.devices is {devices}, but this run has {world_size()} process(es): a run on N devices is started "
            "as N processes, by torchrun --nproc-per-node N -m sslmed fit … --trainer.devices N"
        )


def share_size(batch_size: int, n_ranks: int) -> int:
    """Return the number of cases in each rank's part of a batch.

    Args:
        batch_size: Cases in the whole batch.
        n_ranks: Number of ranks.

    Raises:
        UserError: If the parts would be unequal: the mean of the ranks' gradients would not be that of the batch.
    """
    if batch_size % n_ranks:
        raise UserError(
            f"batches of {batch_size} cases cannot be divided equally among {n_ranks} devices: choose "
            "data.batch_size (no larger than the number of training cases, in pretraining) or the devices accordingly"
        )
    return batch_size // n_ranks


_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Make `gather` and `merge` return this rank's part, for what only one rank does: the others would not answer."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def gather(share: Tensor) -> Tensor:
    """Concatenate the parts of a batch from all ranks, this rank's first, the others in cyclic order.

    Gradients flow back to the rank that a part came from, summed over the ranks' losses. DDP then divides by the number
    of ranks, which gives the gradient of the mean of their losses.

    Args:
        share: This rank's part, `(B / ranks, …)`.

    Returns:
        The whole batch, `(B, …)`.
    """
    if world_size() == 1 or _alone:
        return share
    shares: tuple[Tensor, ...] = _AllGather.apply(share)  # type: ignore[no-untyped-call]
    return torch.cat(shares[rank() :] + shares[: rank()])


class _AllGather(torch.autograd.Function):
    # torch 2.13 deprecates the one in torch.distributed.nn, and its successor is in a private module.
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
    """Merge the mappings of all ranks. If several ranks have a key, the first rank's value is taken."""
    if world_size() == 1 or _alone:
        return dict(own)
    parts: Sequence[Any] = [None] * world_size()
    dist.all_gather_object(parts, own)
    return {key: value for part in reversed(parts) for key, value in part.items()}
