"""Networks that predict together."""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslmed.core.errors import UserError
from sslmed.core.text import shorten
from sslmed.experiments.best_arm import runs_of
from sslmed.exporting.description import Description
from sslmed.exporting.model import Model, load
from sslmed.preparation.recipe import Recipe
from sslmed.preparation.settings import preparation_differences
from sslmed.training.run_directory import RunDirectory
from sslmed.training.seen import seen_digests

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ensemble:
    """Networks whose outputs are averaged.

    Attributes:
        models: At least one; all for the same task, classes and preparation of images.
        seen: Digests of the images that they were pretrained, trained or selected on; `None` if it is not known.
        flips: Take the mean over flipped images, too.
    """

    models: Sequence[Model]
    seen: frozenset[str] | None
    flips: bool

    @property
    def recipe(self) -> Recipe:
        """How images are prepared."""
        return self.models[0].description.recipe

    @property
    def first(self) -> Model:
        """The one that turns outputs into answers."""
        return self.models[0]

    def outputs(self, image: NDArray[np.float16]) -> Tensor:
        """Compute the mean of class probabilities, or of values, of a prepared image; see `Model.outputs`."""
        return self.first.outputs(image, self.models[1:], flips=self.flips)

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits of all that determines the outputs."""
        return _digest(self.models, str(self.flips))


def load_ensemble(paths: Sequence[Path], device: torch.device, *, flips: bool) -> Ensemble:
    """Load the networks of runs, exports and experiments.

    Args:
        paths: Directories of runs, exports, or an experiment's runs, as `runs/fig3/phantom-quick`.
        device: Where to put them.
        flips: See `Ensemble`.

    Raises:
        UserError: If one cannot be used, or they do not go together.
    """
    chosen = [each for path in paths for each in runs_of(path)]
    models = [load(path).to(device) for path in chosen]
    for path, model in zip(chosen, models, strict=True):
        if not model.description.is_task:
            raise UserError(f"{path}: predicts nothing, as it is no fine-tuning run; give the directory of one")
        if differences := preparation_differences(_essence(models[0].description), _essence(model.description)):
            raise UserError(f"{path}: does not go together with {chosen[0]}: {', '.join(differences)}")
    _refuse_copies(chosen, models)
    _say_warnings(dict(zip(chosen, models, strict=True)))
    digests = [seen_digests(RunDirectory(path).read_data()) for path in chosen]
    known = [each for each in digests if each is not None]
    return Ensemble(models, frozenset().union(*known) if len(known) == len(digests) else None, flips)


def _digest(models: Sequence[Model], options: str = "") -> str:
    """Return 16 hexadecimal digits of networks, and of what is done with their outputs."""
    digest = hashlib.sha256(options.encode())
    for model in models:
        digest.update(json.dumps(_essence(model.description), sort_keys=True).encode())
        for name, tensor in model.network.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _refuse_copies(paths: Sequence[Path], models: Sequence[Model]) -> None:
    """Refuse a network that is given twice, as by its export or within its experiment: it would count double."""
    found: dict[str, Path] = {}
    for path, model in zip(paths, models, strict=True):
        first = found.setdefault(_digest([model]), path)
        if first is not path:
            raise UserError(f"--model {path}: is the same network as {first}, and would count double; give it once")


def _say_warnings(models: Mapping[Path, Model]) -> None:
    """Say what is wrong with pretraining, once for all networks that start from it."""
    paths: dict[str, list[str]] = defaultdict(list)
    for path, model in models.items():
        for warning in model.description.run.get("warnings", ()):
            paths[warning].append(str(path))
    for warning, of_runs in paths.items():
        log.warning("%s: in pretraining, %s", shorten(of_runs), warning)


def _essence(described: Description) -> dict[str, Any]:
    """What must agree between networks that predict together, beside their weights."""
    recipe = described.recipe
    return {
        "task": described.network["class_path"],
        "dimensions of the network": described.spatial_dims,
        "window": described.window or "none",
        "channels": [*recipe.modalities],
        "classes": {str(value): name for value, name in recipe.label_names.items()},
        **recipe.settings.describe(recipe.spatial_dims, recipe.modalities),
    }
