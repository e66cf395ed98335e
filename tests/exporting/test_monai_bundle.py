"""The bundle passes MONAI's own checks, and MONAI runs it."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_status
from monai.bundle import run, verify_metadata, verify_net_in_out
from PIL import Image
from trained_runs import MAPS

from sslmed import load
from sslmed.encoders.weights_file import read_state
from sslmed.exporting.build import build_network
from sslmed.exporting.description import Description
from sslmed.exporting.model import Mask
from sslmed.exporting.monai_bundle import metadata, predict_folder
from sslmed.exporting.request import Request
from sslmed.exporting.trained_run import read_run
from sslmed.preparation.geometry import Geometry

TEXT, OBJECT = {"type": "string"}, {"type": "object"}
TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data"],
    "properties": {
        **{"type": TEXT, "format": TEXT, "modality": TEXT, "num_channels": {"type": "integer"}},
        "spatial_shape": {"type": "array", "items": {"type": ["integer", "string"]}},
        "dtype": TEXT,
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": TEXT},
    },
}
TEXTS = ("version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors", "copyright")
SCHEMA = {
    "type": "object",
    "required": [*TEXTS, "required_packages_version", "network_data_format"],
    "properties": {
        **dict.fromkeys(TEXTS, TEXT),
        **{"changelog": OBJECT, "required_packages_version": OBJECT, "eval_metrics": OBJECT},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                "inputs": {"type": "object", "minProperties": 1, "additionalProperties": TENSOR},
                "outputs": {"type": "object", "minProperties": 1, "additionalProperties": TENSOR},
            },
        },
    },
}
"""What https://docs.monai.io/en/stable/mb_specification.html requires; MONAI would download its own, at the URL."""


def test_monai_verifies_and_runs_it(trained, kind, tmp_path, capsys) -> None:
    root = tmp_path / "bundle"
    assert exit_status("export", trained[kind], root, "--format", "monai-bundle") == 0
    assert "its docs/README.md says how to use it" in capsys.readouterr().out
    files = {name: str(root / "configs" / f"{name}.json") for name in ("metadata", "inference")}
    assert json.loads(Path(files["metadata"]).read_text())["schema"].endswith("meta_schema_20240725.json")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    verify_metadata(files["metadata"], filepath=str(tmp_path / "schema.json"))
    if kind != "regression":  # its output has no axis of channels, which MONAI looks for
        arguments = {"meta_file": files["metadata"], "config_file": files["inference"], "bundle_root": str(root)}
        verify_net_in_out("network_def", device="cpu", **arguments)
    assert read_state(root).keys() == torch.load(root / "models" / "model.pt", weights_only=True).keys()

    image = trained.images[kind]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / image.name).write_bytes(image.read_bytes())
    folders = {"dataset_dir": str(tmp_path / "images"), "output_dir": str(tmp_path / "out")}
    run(config_file=files["inference"], bundle_root=str(root), **folders)
    assert "python -m monai.bundle run --config_file configs/inference.json" in (root / "docs/README.md").read_text()
    expected = load(trained[kind]).predict(image)
    if kind in MAPS:
        written = tmp_path / "out" / image.name
        voxels = Image.open(written) if written.suffix == ".png" else nib.load(written).dataobj
        np.testing.assert_array_equal(np.asarray(voxels), np.asarray(expected))
        return
    row = pd.read_csv(tmp_path / "out" / "predictions.csv").iloc[0]
    assert row["image"] == image.name
    if kind == "regression":
        assert row["value"] == pytest.approx(expected)
    else:
        assert str(row["class"]) == expected.name
        assert row.filter(like="probability").tolist() == pytest.approx(list(expected.probabilities.values()))


GRADES = ("no DR", "mild", "moderate", "severe", "proliferative")
VALUE = "standardised value; times target_scale, plus target_mean (both in models/model.pt)"


@pytest.mark.parametrize(
    ("kind", "changed", "kind_of_data", "channels"),
    [
        ("segmentation", {}, ("image", "labels"), ["background", "pancreas", "cancer"]),
        ("classification", {}, ("probabilities", "classes"), [*GRADES]),
        ("classification", {"objective": "ordinal"}, ("probabilities", "classes"), [f"above {n}" for n in GRADES[:4]]),
        ("regression", {}, ("tuples", "values"), [VALUE]),
    ],
)
def test_the_metadata_say_what_the_network_gives(trained, kind, changed, kind_of_data, channels) -> None:
    run = read_run(trained[kind])
    described = Description.of_run(run)
    described.network["init_args"].update(changed)
    request = Request(run, described, name="x", licence="mit")
    says = metadata(request)["network_data_format"]["outputs"]["pred"]
    assert (says["type"], says["format"]) == kind_of_data
    assert says["channel_def"] == {str(index): name for index, name in enumerate(channels)}
    outputs = build_network(described.network)(request.example(1))
    assert says["num_channels"] == (outputs.shape[1] if outputs.ndim > 1 else 1) == len(channels)


def test_masks_are_called_as_their_images_and_none_is_overwritten(tmp_path) -> None:
    class Everywhere:
        def predict(self, image: Path) -> Mask:
            return Mask(np.full((3, 4), len(image.name), np.uint8), Geometry.of_photograph((3, 4), (0, 0), 4, 4))

    names = {"1.left.png": "1.left.png", "1.right.jpg": "1.right.png", "2.png": "2.png.png", "2.jpg": "2.jpg.png"}
    (tmp_path / "images").mkdir()
    for name in names:
        (tmp_path / "images" / name).touch()
    predict_folder(Everywhere(), tmp_path / "images", tmp_path / "out")  # type: ignore[arg-type]
    found = {path.name: int(np.asarray(Image.open(path)).max()) for path in (tmp_path / "out").iterdir()}
    assert found == {mask: len(image) for image, mask in names.items()}
