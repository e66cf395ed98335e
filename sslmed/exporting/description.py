"""Describes an exported network: all that is needed to build it and to prepare an image for it."""

import copy
import inspect
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import sslmed
from sslmed.core.errors import DataError, UserError
from sslmed.exporting.build import find_class
from sslmed.exporting.scores import scores_of
from sslmed.exporting.trained_run import TrainedRun
from sslmed.preparation.recipe import Recipe

Part = Literal["encoder", "network", "training"]
"""What is exported: the encoder, the whole network, or this and all that training goes on from."""

FILE = "config.json"
TRAINING_ONLY = ("affine", "intensity", "optimization", "pretrained")
"""Arguments of a task that make no difference to a trained network."""

FACTS = (
    *("kind", "figure", "dataset", "preset", "arm", "source", "fold", "seed", "label_fraction", "n_labels", "n_train"),
    *("final", "transductive", "val_loss", "chance_loss", "git", "versions"),
)
"""What is known of a run, from `results.json`."""

TRAINING = ("n_folds", "epochs", "batch_size")
"""The same, from the data of `config.yaml`."""


@dataclass(frozen=True)
class Description:
    """Holds the contents of `config.json`.

    Args:
        part: What is exported.
        network: `class_path` and `init_args` of the network, or of the encoder alone.
        spatial_dims: Dimensions of what the network sees: 2 also if it sees slices of volumes.
        in_channels: Number of channels of its images.
        window: Sides in voxels of the sliding window; `None` if the network sees whole images.
        recipe: How images are prepared.
        run: What is known of the run: `FACTS`, `TRAINING`, the number of `updates` that were done, whether its encoder
            was pretrained and what is wrong with that (`warnings`, absent if it is not known), and its scores, or the
            scores to be expected of a final model.
        version: Version of sslmed.
    """

    part: Part
    network: dict[str, Any]
    spatial_dims: int
    in_channels: int
    window: list[int] | None
    recipe: Recipe
    run: dict[str, Any]
    version: str = sslmed.__version__

    @classmethod
    def of_run(cls, run: TrainedRun, part: Part = "network") -> Self:
        """Describe the network of a run.

        Raises:
            UserError: If a class of its network cannot be imported.
        """
        encoder = copy.deepcopy(run.settings["model"]["init_args"]["encoder"])
        channels = len(run.recipe.modalities)
        encoder["init_args"] = encoder.get("init_args") or {}
        encoder["init_args"] |= {"spatial_dims": run.spatial_dims, "in_channels": channels}
        network = encoder if part == "encoder" else _whole(run, encoder)
        return cls(part, network, run.spatial_dims, channels, run.window, run.recipe, _facts(run))

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Build a description from the output of `to_json`."""
        return cls(**{**content, "recipe": Recipe.from_json(content["recipe"])})

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "recipe": self.recipe.to_json()}

    @property
    def is_task(self) -> bool:
        """Whether the network segments, classifies or predicts values."""
        return self.part != "encoder" and self.run["kind"] == "finetune"

    @property
    def is_ordinal(self) -> bool:
        """Whether it decides for each grade but the last if it is exceeded: see `sslmed.downstream.ordinal`."""
        return self.is_task and self.network["init_args"].get("objective") == "ordinal"

    @property
    def input_size(self) -> tuple[int, ...] | None:
        """Sides in voxels of what the network sees; `None` if images differ in size and it sees whole ones."""
        if self.window is not None:
            return tuple(self.window)
        settings = self.recipe.settings
        is_square = self.recipe.spatial_dims == 2 or settings.geometry == "cube"
        return (settings.size,) * self.spatial_dims if is_square else None


def read_description(folder: Path) -> Description:
    """Read the description of an export.

    Raises:
        UserError: If it is not there or damaged.
    """
    path = folder / FILE
    try:
        return Description.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (DataError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: is not the description of an export by this version ({reason})") from error


def _facts(run: TrainedRun) -> dict[str, Any]:
    facts = {name: run.results.get(name) for name in FACTS}
    facts |= {name: run.settings["data"]["init_args"].get(name) for name in TRAINING}
    facts["updates"] = run.results["validation"][-1]["update"]  # the budget, rounded to whole validation passes
    facts |= {"select": run.settings["select"], "pretrained": run.pretrained is not None}
    facts["warnings"] = run.pretraining_warnings
    facts["scores"] = [asdict(score) for score in scores_of(run)]
    if run.files.expected.is_file():
        facts["expected"] = json.loads(run.files.expected.read_text(encoding="utf-8"))
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _whole(run: TrainedRun, encoder: dict[str, Any]) -> dict[str, Any]:
    """Describe the whole network, with the arguments that training set from the data."""
    model = copy.deepcopy(run.settings["model"])
    arguments = {name: value for name, value in model["init_args"].items() if name not in TRAINING_ONLY}
    values = sorted(run.recipe.label_names)
    from_data = {"crop_size": run.window, "label_values": values, "num_classes": len(values)}
    known = inspect.signature(find_class(model["class_path"])).parameters
    linked = {name: value for name, value in from_data.items() if name in known}
    return {"class_path": model["class_path"], "init_args": arguments | linked | {"encoder": encoder}}
