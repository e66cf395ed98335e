"""The format `safetensors`: weights that hold no code, and what is needed to use them; or the whole training state."""

from pathlib import Path
from typing import Any

import torch
import yaml

from sslmed.core.extras import require
from sslmed.exporting.request import Request


def check(request: Request) -> None:  # noqa: ARG001 - it holds any part
    """Check that the packages are installed.

    Raises:
        UserError: If one is not.
    """
    require("safetensors", extra="export", why="--format safetensors")


def write(request: Request, folder: Path) -> None:
    """Write `model.safetensors`, `config.json` and `README.md`, and for the training state a checkpoint too."""
    from safetensors.torch import save

    _ = request.model  # it can be built, and takes all weights
    # `save_file` would write a file that only its owner may read.
    (folder / "model.safetensors").write_bytes(save(request.weights, metadata={"format": "pt"}))
    request.write_description(folder, "safetensors")
    if request.description.part == "training":
        _write_training(request, folder)


def _write_training(request: Request, folder: Path) -> None:
    """Write the checkpoint with optimizer and schedule, and the configuration, both without paths of this machine."""
    checkpoint: dict[str, Any] = torch.load(request.trained.checkpoint, map_location="cpu", weights_only=True)
    states = checkpoint["callbacks"].items()
    # Those of ModelCheckpoint hold paths, and nothing that training needs.
    checkpoint["callbacks"] = {name: state for name, state in states if "dirpath" not in state}
    torch.save(checkpoint, folder / "training.ckpt")
    settings = {name: value for name, value in request.trained.settings.items() if name not in ("run_dir", "ckpt_path")}
    settings["data"]["init_args"].pop("store", None)
    settings["model"]["init_args"].pop("pretrained", None)
    (folder / "training.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
