"""`sslmed export`: writes a trained network in a format that others can use, completely or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.extras import require
from sslmed.core.files import atomic_folder
from sslmed.exporting import monai_bundle, nnunet, onnx_file, safetensors_file
from sslmed.exporting.description import Description, Part
from sslmed.exporting.request import Request
from sslmed.exporting.trained_run import read_run


@dataclass(frozen=True)
class Format:
    """A format of exports.

    Args:
        check: Raises `UserError` if it cannot hold what is requested, or a package is missing.
        write: Writes the files.
    """

    check: Callable[[Request], None]
    write: Callable[[Request, Path], None]


def export(
    run: Path,
    out: Path,
    form: str = "safetensors",
    part: Part = "network",
    *,
    licence: str = "unknown",
    size: Sequence[int] | None = None,
) -> list[str]:
    """Export the network of a finished run.

    Args:
        run: Directory of the run.
        out: A new or empty folder.
        form: One of `FORMATS`.
        part: What to export.
        licence: Licence of the weights, for the model card.
        size: Sides in voxels of the input, where the format fixes them; by default what the network was trained on.

    Returns:
        What is known to be wrong with its pretraining, in sentences; the model card has them, too.

    Raises:
        UserError: If the run or `out` cannot be used, the format cannot hold the part, or a package is missing.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: exists; give a new or an empty folder")
    if size is not None and form not in ("onnx", "nnunet"):
        raise UserError(f"--size: {form} takes images of any size; leave it out")
    trained = read_run(run)
    request = Request(trained, Description.of_run(trained, part), name=out.resolve().name, licence=licence, size=size)
    require("huggingface_hub", extra="export", why="the model card")
    FORMATS[form].check(request)
    with atomic_folder(out) as folder:
        FORMATS[form].write(request, folder)
    return trained.pretraining_warnings or []


FORMATS = {
    "safetensors": Format(safetensors_file.check, safetensors_file.write),
    "onnx": Format(onnx_file.check, onnx_file.write),
    "monai-bundle": Format(monai_bundle.check, monai_bundle.write),
    "nnunet": Format(nnunet.check, nnunet.write),
}
"""Name of the format -> how it is written."""
