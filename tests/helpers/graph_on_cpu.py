"""A stand-in for CUDA graphs on a processor: records the operations of a block, and repeats them in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Graph(TorchDispatchMode):
    """Repeats what a CUDA graph repeats: operations on tensors, and no Python. Recording changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, ...]] = []
        self._before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in filter(
            torch.is_tensor, tree_leaves(args)
        ):  # not all that are changed in place are marked as such
            if id(tensor) not in self._before:
                self._before[id(tensor)] = tensor, tensor.detach().clone()
        result = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def undo(self) -> None:
        for tensor, before in reversed(self._before.values()):
            if tensor.shape == before.shape and not torch.equal(tensor, before):
                tensor.detach().copy_(before)

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, expected in self._operations:
            found = func(*args, **kwargs)
            for old, new in zip(tree_leaves(expected), tree_leaves(found), strict=True):
                if torch.is_tensor(old) and old is not new:
                    old.data = new


@contextmanager
def _recording(graph: Graph, **_: object) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        with graph:
            yield
        graph.undo()


def use_graphs_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps be captured without a GPU."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", _recording)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda _: None)
