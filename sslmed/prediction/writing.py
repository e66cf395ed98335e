"""Writes what was predicted of an image."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sslmed.downstream.writers import write_map
from sslmed.exporting.model import Mask, Model, row_of
from sslmed.prediction.images import Image
from sslmed.preparation.geometry import Geometry

ENDINGS = {".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha"}
"""Formats of images in which their masks are written, too; others are NIfTI, or PNG and TIFF for photographs."""


def write_answer(
    out: Path, image: Image, model: Model, outputs: Tensor, geometry: Geometry, *, probabilities: bool
) -> tuple[dict[str, Any], list[str]]:
    """Write the mask of an image, and the probabilities of its classes.

    Args:
        out: Folder of the predictions.
        image: The image.
        model: Turns outputs into an answer.
        outputs: See `Model.outputs`.
        geometry: Where the image lies.
        probabilities: Whether probabilities are written, for maps into files.

    Returns:
        Columns of the table, and the files, relative to the folder.
    """
    answer = model.answer(outputs, geometry)
    if not isinstance(answer, Mask):
        return row_of(answer, probabilities=probabilities), []
    files = [_write(out, image, "", answer.labels, geometry)]
    if probabilities:
        values = model.description.recipe.label_names
        for index, (value, scores) in enumerate(zip(values, outputs.numpy(), strict=True)):
            # Large, so it has no name that would keep it; outside of the crop all is background.
            file = _write(out, image, f"_probability_{value}", geometry.restore_score(scores, index == 0), geometry)
            files.append(file)
    return {"mask": files[0]}, files


def _write(out: Path, image: Image, suffix: str, voxels: np.ndarray[Any, Any], geometry: Geometry) -> str:
    ending = ENDINGS.get(image.path.suffix.lower(), ".nii.gz")
    if voxels.ndim == 2:
        ending = ".png" if voxels.dtype.kind == "u" else ".tif"
    file = f"{image.name}{suffix}{ending}"
    (out / file).parent.mkdir(parents=True, exist_ok=True)
    write_map(out / file, voxels, geometry)
    return file
