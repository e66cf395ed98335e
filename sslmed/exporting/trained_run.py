"""Reads the directory of a finished run. Nothing outside of it is needed, unless it was trained by an older version."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sslmed.core.errors import UserError
from sslmed.core.nearest import did_you_mean_path
from sslmed.core.text import shorten
from sslmed.evaluation.learned import handed_over, warnings
from sslmed.preparation.recipe import Recipe, read_recipe
from sslmed.training.own_modules import import_own_modules
from sslmed.training.run_directory import RunDirectory

Json = dict[str, Any]


@dataclass(frozen=True)
class TrainedRun:
    """Holds what a run directory says.

    Args:
        files: The paths of its files.
        settings: The configuration, as in `config.yaml`.
        results: As in `results.json`.
        recipe: How images were prepared.
    """

    files: RunDirectory
    settings: Json
    results: Json
    recipe: Recipe

    @cached_property
    def checkpoint(self) -> Path:
        """The checkpoint that was scored, or handed over.

        Raises:
            UserError: If it is not there.
        """
        path = self.files.last if self.settings["select"] == "last" else self.files.best
        if not path.is_file():
            raise UserError(f"{path}: no such checkpoint; copy the whole directory of the run, with its checkpoints")
        return path

    @property
    def spatial_dims(self) -> int:
        """Dimensions of what the network sees: 2 also if it sees slices of volumes."""
        dims: int = self.results["spatial_dims"]
        return dims

    @property
    def window(self) -> list[int] | None:
        """Sides in voxels of the crops that the network was trained on; `None` if it saw whole images."""
        crop: list[int] | None = self.settings["data"]["init_args"].get("crop_size")
        return crop

    @property
    def is_finetuned(self) -> bool:
        """Whether it is a fine-tuning run, whose network segments, classifies or predicts values."""
        return bool(self.results["kind"] == "finetune")

    @property
    def pretrained(self) -> Path | None:
        """The checkpoint of the weights that it started from, where it was then; `None` if they were random."""
        checkpoint = (self.settings["model"]["init_args"].get("pretrained") or {}).get("checkpoint")
        return None if checkpoint is None else Path(checkpoint)

    @cached_property
    def pretraining_warnings(self) -> list[str] | None:
        """What is wrong with its pretraining, or with itself if it is one, in the sentences that its log has.

        `None` if that is not known, as the weights are a file from elsewhere, or their run is not there any more.
        """
        if not self.is_finetuned:
            return warnings(handed_over(self.results["validation"], best=self.settings["select"] == "best"))
        if self.pretrained is None:
            return []
        moved = os.path.relpath(self.pretrained, self.settings["run_dir"])  # the whole experiment may have been moved
        for checkpoint in (self.files.path / moved, self.pretrained):
            folder = Path(os.path.abspath(checkpoint))  # noqa: PTH100 - without links
            run = RunDirectory(folder if folder.is_dir() else folder.parent.parent)
            if run.is_done:
                rows = json.loads(run.results.read_text(encoding="utf-8"))["validation"]
                return warnings(handed_over(rows, best=checkpoint.name == run.best.name))
        return None


def read_run(path: Path) -> TrainedRun:
    """Read a run.

    Args:
        path: Its directory.

    Raises:
        UserError: If it is not the directory of a finished run.
    """
    if not path.exists():
        raise UserError(f"{path}: no such folder; check the path{did_you_mean_path(path)}")
    files = RunDirectory(path)
    if not files.config.is_file() or not files.is_done:
        runs = [each.parent for each in path.rglob("results.json") if ".old" not in str(each.relative_to(path))]
        inside = sorted(runs, key=lambda run: (run.name == "pretrain", run))
        found = f": {shorten([*map(str, inside)])}" if inside else ""
        raise UserError(
            f"{path}: is not a finished run; give the directory of one, which holds config.yaml and results.json{found}"
        )
    try:
        settings = yaml.safe_load(files.config.read_text(encoding="utf-8"))
        results = json.loads(files.results.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: config.yaml or results.json is damaged ({reason}); copy the run again") from error
    if not files.recipe.is_file():
        raise UserError(
            f"{files.recipe}: no such file, so it is not known how images are prepared; train the run again"
        )
    import_own_modules(["-c", str(files.config)])  # its network may be the user's own
    return TrainedRun(files, settings, results, read_recipe(files.recipe))
