"""`sslmed export --format nnunet`: what nnU-Net reads, strictly loaded into its network, with the same outputs."""

import importlib
import json
from pathlib import Path

import pytest
import torch
import yaml
from commands import exit_status, fit
from nnunet_library import library_network

from sslmed import load
from sslmed.encoders import ResidualEncoder
from sslmed.encoders.weights_file import read_state
from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings

KEYS = {"key_to_encoder", "key_to_stem", "keys_to_in_proj", "key_to_lpe", "pretrain_num_input_channels"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Runs of a residual encoder: one pretrained with a decoder, one without, a fine-tuned one, one on slices."""
    folder = tmp_path_factory.mktemp("residual")
    KINDS["pancreas"](folder / "volumes", cases=7, unlabelled=1, size=(24, 20, 16), jobs=1)
    store = folder / "store"
    prepare(folder / "volumes", store, PrepareSettings(geometry="spacing", spacing=(20, 18, 10)), jobs=1)
    crops = ("--data.crop_size", "[6,8,10]")
    for kind in ("mae", "rotation", "segmentation"):
        options = ("--data.crop_size", "[8,8,8]") if kind == "rotation" else crops
        fit(kind, store, folder / kind, *options, encoder="residual")
    flat = ["--data.spatial_dims", "2", "--data.crop_size", "[8,8]"]
    flat += ["--model.encoder.strides", "[1,2,2]", "--model.encoder.kernel_sizes", "[3,3,3]"]
    fit("segmentation", store, folder / "flat", *flat, encoder="residual")
    return {kind: folder / kind for kind in ("mae", "rotation", "segmentation", "flat")}


@pytest.mark.parametrize(
    ("kind", "part"), [("mae", "network"), ("segmentation", "network"), ("mae", "encoder"), ("rotation", "network")]
)
def test_nnunet_loads_it_strictly_and_computes_the_same(runs, tmp_path, kind, part) -> None:
    out = tmp_path / "out"
    assert exit_status("export", runs[kind], out, "--format", "nnunet", "--part", part) == 0
    names = ["README.md", "adaptation_plan.json", "checkpoint_final.pth", "config.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    content = torch.load(out / "checkpoint_final.pth", weights_only=True)
    plan, weights = content["nnssl_adaptation_plan"], content["network_weights"]
    assert plan == json.loads((out / "adaptation_plan.json").read_text())
    assert plan.keys() >= KEYS
    assert plan["architecture_kwargs"] == plan["architecture_plans"]["arch_kwargs"]
    (configuration,) = plan["pretrain_plan"]["configurations"].values()
    size = [8, 8, 8] if kind == "rotation" else [10, 8, 6]
    assert configuration == {"spacing": [10.0, 18.0, 20.0], "patch_size": size}
    assert plan["recommended_downstream_patchsize"] == [-(-size[0] // 4) * 4, 8, -(-size[2] // 2) * 2]
    assert plan["architecture_plans"]["arch_kwargs"]["strides"] == [[1, 1, 1], [2, 2, 1], [2, 2, 2]]

    run = load(runs[kind])
    classes = {"mae": 1, "segmentation": 3}.get(kind, 2)
    has_decoder = part == "network" and kind != "rotation"
    library = _of_plan(plan, run.encoder, classes)
    for key in ("key_to_encoder", "key_to_stem"):
        prefix = f"{plan[key]}."
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        library.get_submodule(plan[key]).load_state_dict(own)
    if has_decoder:
        library.load_state_dict(weights)
    else:
        assert all(name.startswith("encoder.") for name in weights)
    read = read_state(out / "checkpoint_final.pth")  # as fine-tuning with sslmed would read it
    assert all(torch.equal(read[f"encoder.{name}"], value) for name, value in run.encoder.state_dict().items())
    images = torch.rand(2, 1, 8, 12, 16)
    with torch.inference_mode():
        maps = [each.transpose(2, 4) for each in library.encoder(images.transpose(2, 4))]
        for one, other in zip(run.encoder(images), maps, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
        if has_decoder:
            answer = run.network.decoder(run.encoder(images))
            torch.testing.assert_close(answer, library(images.transpose(2, 4)).transpose(2, 4), atol=1e-5, rtol=1e-5)


def _of_plan(plan, encoder: ResidualEncoder, classes: int):
    """Build the network as nnU-Net's `get_network_from_plans` does."""
    library_network(encoder)  # skips where the library is not there
    architecture = plan["architecture_plans"]
    arguments = dict(architecture["arch_kwargs"])
    for name in [*architecture["arch_kwargs_requiring_import"], "network"]:
        path = architecture["arch_class_name"] if name == "network" else arguments[name]
        if path is not None:
            module, _, found = path.rpartition(".")
            arguments[name] = getattr(importlib.import_module(module), found)
    network = arguments.pop("network")
    channels = plan["pretrain_num_input_channels"]
    return network(input_channels=channels, num_classes=classes, deep_supervision=False, **arguments).eval()


WRONG = {
    ("flat", "network"): "needs a 3-D network",
    ("mae", "training"): "holds no training state",
}


@pytest.mark.parametrize(("kind", "part"), WRONG)
def test_what_nnunet_does_not_have_is_refused(runs, tmp_path, capsys, kind, part) -> None:
    assert exit_status("export", runs[kind], tmp_path / "out", "--format", "nnunet", "--part", part) == 2
    message = capsys.readouterr().err
    assert WRONG[kind, part] in message
    assert len(message.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_decoder_with_extra_pooling_is_refused(runs, tmp_path, capsys) -> None:
    path = runs["segmentation"] / "config.yaml"
    before = path.read_text()
    settings = yaml.safe_load(before)
    settings["model"]["init_args"]["extra_pooling"] = True
    try:
        path.write_text(yaml.safe_dump(settings))
        assert exit_status("export", runs["segmentation"], tmp_path / "out", "--format", "nnunet") == 2
    finally:
        path.write_text(before)
    assert "extra_pooling" in capsys.readouterr().err
