"""Runs a training step as a CUDA graph: it is recorded once and replayed for every further batch.

A small network finishes each operation before Python launches the next one. A graph launches all of them at once.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

WARM_UP = 3  # steps before recording, in which libraries choose their algorithms


class CapturedStep:
    """Computes loss and gradients of batches by replaying a recorded step.

    A replay repeats the operations on the GPU, including random numbers, but no Python. So a step must do the same for
    every batch, must not read a value from the device, and must not store anything outside the device's memory. It is
    recorded again if the shapes of a batch or the trainable parameters change.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.

    Args:
        step: Computes the loss `()` of a batch.
        parameters: Parameters that get gradients.
    """

    def __init__(self, step: Callable[[Mapping[str, Tensor]], Tensor], parameters: Iterable[Parameter]) -> None:
        self._step = step
        self._parameters = list(parameters)
        self._recorded_for: object = None
        self._done = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, Tensor] = {}
        self._gradients: list[Tensor | None] = []
        self._loss = torch.zeros(())

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Compute the loss of a batch on the GPU, and set (not accumulate) the gradients of the parameters."""
        shapes = {name: (each.shape, each.dtype) for name, each in batch.items()}
        kind = shapes, [parameter.requires_grad for parameter in self._parameters]
        if kind != self._recorded_for:
            self._recorded_for, self._done, self._graph = kind, 0, None
        self._done += 1
        if self._done <= WARM_UP:
            self._forget_gradients()
            return self._loss_and_gradients(batch)
        if self._graph is None:
            self._graph = self._record(batch)
        for name, each in batch.items():
            self._inputs[name].copy_(each, non_blocking=True)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss.clone()

    def _record(self, batch: Mapping[str, Tensor]) -> torch.cuda.CUDAGraph:
        self._inputs = {name: each.clone() for name, each in batch.items()}
        self._forget_gradients()  # so that they are allocated in the graph's memory, where each replay writes them
        graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # it holds weights rounded earlier; a graph must round them in every replay
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may read data meanwhile
            self._loss = self._loss_and_gradients(self._inputs)
        torch.clear_autocast_cache()
        self._gradients = [parameter.grad for parameter in self._parameters]
        return graph

    def _loss_and_gradients(self, batch: Mapping[str, Tensor]) -> Tensor:
        loss = self._step(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
