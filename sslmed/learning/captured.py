"""Runs a training step as a CUDA graph: it is recorded once and replayed for every further batch.

A small network finishes each operation before Python launches the next one. A graph launches all of them at once.
"""

import logging
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from sslmed.core.errors import RunError

log = logging.getLogger(__name__)

WARM_UP = 3
"""Steps before recording. In these, libraries choose their algorithms, and the last is watched."""


class CapturedStep:
    """Computes loss and gradients of batches by replaying a recorded step.

    A replay repeats the operations on the GPU, with new random numbers, but no Python. So a step must do the same for
    every batch, and must not read a number from the device. A step that reads one is not recorded, and is computed as
    without this class. It is recorded again if the shapes of a batch or the parameters change, as by unfreezing.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.

    Args:
        step: Computes the loss `()` of a batch.
        parameters: Lists the parameters that get gradients, which may become others.
    """

    def __init__(self, step: Callable[[dict[str, Any]], Tensor], parameters: Callable[[], Iterable[Parameter]]) -> None:
        self._step = step
        self._list = parameters
        self._parameters: list[Parameter] = []
        self._recorded_for: object = None
        self._done = 0
        self._waits = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, Tensor] = {}
        self._gradients: list[Tensor | None] = []
        self._loss = torch.zeros(())

    def __call__(self, batch: dict[str, Any]) -> Tensor:
        """Compute the loss `()` of a batch on the GPU, and its gradients, see `set_gradients`.

        Raises:
            RunError: If the step cannot be recorded.
        """
        tensors = {name: each for name, each in batch.items() if torch.is_tensor(each)}
        shapes = {name: (each.shape, each.dtype) for name, each in tensors.items()}
        parameters = list(self._list())
        kind = shapes, [(id(each), each.data_ptr(), each.requires_grad) for each in parameters]
        if kind != self._recorded_for:
            self._recorded_for, self._parameters, self._done, self._graph = kind, parameters, 0, None
        self._done += 1
        if self._waits or self._done < WARM_UP:
            return self._compute(tensors)
        if self._done == WARM_UP:
            return self._watch(tensors)
        if self._graph is None:
            self._graph = self._record(tensors)
        for name, each in tensors.items():
            self._inputs[name].copy_(each, non_blocking=True)
        self._graph.replay()
        return self._loss.clone()

    @property
    def is_recorded(self) -> bool:
        """Whether the last batch was replayed."""
        return self._graph is not None

    def set_gradients(self) -> None:
        """Give the parameters the gradients of the last batch, in place of those they have."""
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient

    def _compute(self, batch: dict[str, Tensor]) -> Tensor:
        for parameter in self._parameters:  # a graph that is recorded allocates gradients in its own memory
            parameter.grad = None
        loss = self._step(batch)
        with torch.autocast(loss.device.type, enabled=False):  # as Lightning does it; autocast is for forward passes
            loss.backward()  # type: ignore[no-untyped-call]
        self._gradients = [parameter.grad for parameter in self._parameters]
        return loss.detach()

    def _watch(self, batch: dict[str, Tensor]) -> Tensor:
        """Compute a step, and find out whether it waits for the GPU, which a graph cannot do."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")  # warns that it is a prototype, too
            try:
                loss = self._compute(batch)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        messages = [str(each.message) for each in found]
        self._waits = any("synchroniz" in each and "prototype" not in each for each in messages)
        if self._waits:
            log.info("the training step reads numbers from the GPU, so it is not replayed as a CUDA graph")
        return loss

    def _record(self, batch: dict[str, Tensor]) -> torch.cuda.CUDAGraph:
        self._inputs = {name: each.clone() for name, each in batch.items()}
        graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # it holds weights rounded earlier; a graph must round them in every replay
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may read data meanwhile
                self._loss = self._compute(self._inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RunError(f"the training step cannot be replayed ({error}): set --cuda_graphs false") from error
        torch.clear_autocast_cache()
        return graph
