"""The format `onnx`: the network as a graph that many runtimes execute, checked against PyTorch."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslmed.core.errors import UserError
from sslmed.core.extras import require
from sslmed.downstream import Regression
from sslmed.exporting.request import Request

FILE = "model.onnx"
TOLERANCE = 1e-5
BATCHES = (1, 2, 3)
LARGEST = 2**30  # bytes of weights within the file, whose format allows 2 GiB
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")


class Graph(nn.Module):
    """Gives the outputs of a network as a tuple, as graphs have them.

    Args:
        network: An encoder, or a whole network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Apply the network to `(B, C, *spatial)`."""
        # Values are in their unit: nothing else in an export has the mean and the scale of standardised ones.
        outputs = self.network.outputs(images) if isinstance(self.network, Regression) else self.network(images)
        return (outputs,) if torch.is_tensor(outputs) else tuple(outputs)


def check(request: Request) -> None:
    """Check that there is one input of a known size, and that the packages are installed.

    Raises:
        UserError: If not.
    """
    check_part(request, "onnx")
    for package in PACKAGES:
        require(package, extra="export", why="--format onnx")
    _ = request.input_size


def check_part(request: Request, form: str) -> None:
    """Refuse the training state, and whole networks that were only pretrained: their inputs are puzzles, not images.

    Raises:
        UserError: In these cases.
    """
    path, part = request.trained.files.path, request.description.part
    if part == "training":
        raise UserError(f"--part training: {form} holds no training state; give --format safetensors")
    if part == "network" and not request.trained.is_finetuned:
        raise UserError(f"{path}: is a pretraining run; give --part encoder, or a fine-tuning run, for --format {form}")


def write(request: Request, folder: Path) -> None:
    """Write `model.onnx`, `config.json` and `README.md`.

    Raises:
        UserError: If ONNX's outputs differ from PyTorch's.
    """
    graph = Graph(request.model.network)
    names = output_names(request, len(_outputs(graph, request.example(1))))
    write_graph(graph, request.example(2), folder / FILE, names)
    for batch in BATCHES:
        apart = difference(graph, folder / FILE, request.example(batch))
        if not apart <= TOLERANCE:
            raise UserError(f"{FILE}: its outputs differ from PyTorch's by {apart:g}; nothing was written")
    request.write_description(folder, "onnx")


def output_names(request: Request, count: int) -> list[str]:
    """Name the outputs: `map_0` and so on of an encoder, else `logits`, or `value`."""
    if request.description.part == "encoder":
        return [f"map_{level}" for level in range(count)]
    return ["value" if request.description.recipe.labels == "value" else "logits"]


def write_graph(graph: Graph, example: Tensor, path: Path, names: list[str]) -> None:
    """Write a network as ONNX, for any number of images in a batch.

    Args:
        graph: The network.
        example: Images `(B, C, *spatial)`, B at least 2.
        path: The file.
        names: Name of each output.
    """
    n_bytes = sum(each.numel() * each.element_size() for each in graph.state_dict().values())
    with _quiet():
        torch.onnx.export(
            graph.eval(),
            (example,),
            path,
            input_names=["image"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=n_bytes > LARGEST,
            verbose=False,
        )


def difference(graph: Graph, path: Path, images: Tensor) -> float:
    """Return the largest difference between the outputs of onnxruntime and PyTorch, relative to the largest output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given: list[Any] = session.run(None, {"image": images.numpy()})
    expected = _outputs(graph, images)
    return max(
        float((torch.from_numpy(one) - other).abs().max() / max(1.0, float(other.abs().max())))
        for one, other in zip(given, expected, strict=True)
    )


@torch.inference_mode()
def _outputs(graph: Graph, images: Tensor) -> tuple[Tensor, ...]:
    outputs: tuple[Tensor, ...] = graph(images)
    return outputs


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about its steps, and about packages that are not needed."""
    loggers = {logger: logger.level for logger in map(logging.getLogger, LOGGERS)}
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)
