"""The format `monai-bundle`: https://docs.monai.io/en/stable/mb_specification.html. It needs sslmed to run.

To predict all images of a folder:
`python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir SCANS`.
"""

import json
from pathlib import Path
from typing import Any

import monai
import numpy as np
import pandas as pd
import torch

import sslmed
from sslmed.core.errors import UserError
from sslmed.core.tables import write_table
from sslmed.exporting.model import Mask, Model, row_of
from sslmed.exporting.onnx_file import check_part
from sslmed.exporting.request import Request
from sslmed.preparation.readers.names import VOLUMES, strip_extension
from sslmed.preparation.readers.photographs import FORMATS
from sslmed.preparation.settings import is_ct

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
VERSION = "0.1.0"
INFERENCE = {
    "imports": ["$import torch", "$from sslmed.exporting.monai_bundle import predict_folder"],
    "bundle_root": ".",
    "dataset_dir": "$@bundle_root + '/images'",
    "output_dir": "$@bundle_root + '/eval'",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "model": {"_target_": "sslmed.exporting.model.load", "path": "@bundle_root"},
    "network_def": "$@model.network",
    "network": "$@network_def.to(@device)",
    "run": ["$predict_folder(@model.to(@device), @dataset_dir, @output_dir)"],
}
"""How `monai.bundle run` predicts."""

OUTPUTS = {"map": ("image", "labels"), "class": ("probabilities", "classes"), "value": ("tuples", "values")}
"""Kind of the labels -> MONAI's type and format of the outputs. Of `labels`, the class is that of the largest channel;
`values` is ours, as MONAI has no format of values."""


def check(request: Request) -> None:
    """Check that the network predicts something.

    Raises:
        UserError: If it does not.
    """
    if not request.description.is_task:
        given = "an encoder" if request.description.part == "encoder" else "a pretraining run"
        raise UserError(f"--format monai-bundle holds a network that predicts, not {given}; give --format safetensors")
    check_part(request, "monai-bundle")


def write(request: Request, folder: Path) -> None:
    """Write the bundle: `configs/`, `models/model.pt`, `docs/README.md`, and `config.json` for `sslmed.load`."""
    _ = request.model  # it can be built, and takes all weights
    for name in ("configs", "models"):
        (folder / name).mkdir()
    torch.save(request.weights, folder / "models" / "model.pt")
    for name, content in (("metadata", metadata(request)), ("inference", INFERENCE)):
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / "configs" / f"{name}.json").write_text(text, encoding="utf-8")
    request.write_description(folder, "monai-bundle", "docs/README.md")


def metadata(request: Request) -> dict[str, Any]:
    """Describe the bundle as MONAI's schema wants it."""
    described, recipe = request.description, request.description.recipe
    task = {"map": "segmentation", "class": "classification", "value": "regression"}[recipe.labels]
    scores = {score["metric"]: score["value"] for score in described.run["scores"]}
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "changelog": {VERSION: "exported by sslmed"},
        "monai_version": monai.__version__.partition("+")[0],
        "pytorch_version": str(torch.__version__).partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"sslmed": sslmed.__version__},
        "supported_apps": {},
        "name": request.name,
        "task": f"{task} of {recipe.dataset}",
        "description": f"A network for {task}, trained with sslmed; see docs/README.md",
        "authors": "not stated",
        "copyright": f"licence: {request.licence}",
        "data_source": recipe.dataset,
        "image_classes": ", ".join(recipe.modalities),
        "eval_metrics": scores,
        "intended_use": "research only; not validated for diagnosis or treatment",
        "network_data_format": {"inputs": {"image": _input(request)}, "outputs": {"pred": _output(request)}},
    }


def _input(request: Request) -> dict[str, Any]:
    described, recipe = request.description, request.description.recipe
    is_photo, is_hounsfield = recipe.spatial_dims == 2, all(map(is_ct, recipe.modalities))
    return {
        "type": "image",
        "format": "hounsfield" if is_hounsfield else "magnitude",
        "modality": "photograph" if is_photo else ", ".join(recipe.modalities),
        "num_channels": described.in_channels,
        "spatial_shape": _shape(request),
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": described.window is not None,
        "channel_def": {str(index): each for index, each in enumerate(recipe.modalities)},
    }


def _output(request: Request) -> dict[str, Any]:
    """Describe what `network_def` gives: the network's own outputs, before `sslmed.load` turns them into an answer."""
    described, recipe = request.description, request.description.recipe
    names = [*recipe.label_names.values()]
    if recipe.labels == "value":
        names = ["standardised value; times target_scale, plus target_mean (both in models/model.pt)"]
    elif described.is_ordinal:
        names = [f"above {name}" for name in names[:-1]]
    is_map = recipe.labels == "map"
    kind, form = OUTPUTS[recipe.labels]
    return {
        "type": kind,
        "format": form,
        "num_channels": len(names),
        "spatial_shape": _shape(request) if is_map else [1],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": described.window is not None and is_map,
        "channel_def": {str(index): name for index, name in enumerate(names)},
    }


def _shape(request: Request) -> list[int | str]:
    size = request.description.input_size
    return ["*"] * request.description.spatial_dims if size is None else list(size)


def predict_folder(model: Model, images: str | Path, out: str | Path) -> list[Path]:
    """Predict all images of a folder: a mask of each, or a table of classes or values.

    Args:
        model: The model.
        images: Folder of the images.
        out: Folder for the results.

    Returns:
        The files that were written.

    Raises:
        UserError: If the folder has no images, or one cannot be used.
    """
    images, out = Path(images), Path(out)
    paths = sorted(path for path in images.glob("*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise UserError(f"{images}: holds no images; give --dataset_dir")
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    written: list[Path] = []
    names = {path: strip_extension(path.name, (*VOLUMES, *FORMATS)) for path in paths}
    for path, name in names.items():
        answer = model.predict(path)
        if isinstance(answer, Mask):
            stem = name if [*names.values()].count(name) == 1 else path.name
            written.append(out / f"{stem}{'.png' if answer.labels.ndim == 2 else '.nii.gz'}")
            answer.save(written[-1])
        else:
            rows.append({"image": path.name, **row_of(answer)})
    if rows:
        written.append(out / "predictions.csv")
        write_table(written[-1], pd.DataFrame(rows))
    return written
