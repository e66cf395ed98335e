"""`sslmed export`: write a trained network for others."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EPILOG = (
    "safetensors: weights, config.json and a model card; sslmed.load reads it. onnx: a graph, checked in onnxruntime. "
    "monai-bundle: for python -m monai.bundle run. nnunet: a residual encoder, for nnU-Net. "
    'They need: pip install "sslmed[export]".'
)
POSITIONAL = ("run", "out")


@dataclass(frozen=True)
class Options:
    """What to export.

    Attributes:
        run: Directory of a finished run.
        out: A new or empty folder.
        format: What to write.
        part: The encoder alone, the whole network, or also the optimizer and the schedule, to resume training.
        licence: Licence of the weights, for the model card, as cc-by-sa-4.0.
        size: Sides of the input in voxels, which onnx fixes; by default what the network was trained on.
    """

    run: Path
    out: Path
    format: Literal["safetensors", "onnx", "monai-bundle", "nnunet"] = "safetensors"
    part: Literal["encoder", "network", "training"] = "network"
    licence: str = "unknown"
    size: Sequence[int] | None = None


OPTIONS = (Options,)


def run(options: Options) -> None:
    """Write the export, and say where it is."""
    from sslmed.core.startup import importing

    with importing():
        from sslmed.exporting.export import export

    warnings = export(
        options.run, options.out, options.format, options.part, licence=options.licence, size=options.size
    )
    for warning in warnings:
        print(f"{options.run}: in pretraining, {warning}", file=sys.stderr)
    card = next(options.out.rglob("README.md")).relative_to(options.out)  # a bundle of MONAI has it in docs/
    print(f"{options.out}: {options.part} as {options.format}; its {card} says how to use it")
