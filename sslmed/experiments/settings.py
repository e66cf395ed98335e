"""An experiment as configuration: the figure's YAML and the preset's, checked before anything runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from jsonargparse import ArgumentParser

from sslmed.core.errors import UserError
from sslmed.preparation.settings import PrepareSettings

Settings = TypeVar("Settings")

PACKAGE = Path(__file__).resolve().parents[1]


def config_root() -> Path:
    """The folder of YAML files: inside an installed package, beside it in a checkout."""
    return next(path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if path.is_dir())


@dataclass(frozen=True)
class Experiment:
    """What a figure compares. Files are below `configs/`.

    Args:
        figure: Its name, e.g. `fig3`.
        layout: Layout of its data: the Medical Segmentation Decathlon's, or that of APTOS 2019.
        phantom: Kind of phantom that stands in for data.
        metrics: The scores that are drawn, the main one first.
        encoder: YAML of the encoder.
        finetuning: YAMLs of data and task of fine-tuning.
        arms: Name of each arm -> the YAML of its pretext task, or nothing for training from scratch.
        fractions: Label fractions, in (0, 1].
        regions: Scheme of the regions that are scored, see `SegmentationData`.
    """

    figure: str
    layout: Literal["decathlon", "fundus"]
    phantom: str
    metrics: list[str]
    encoder: str
    finetuning: list[str]
    arms: dict[str, str | None]
    fractions: list[float]
    regions: Literal["brain_tumour"] | None = None

    @property
    def spatial_dims(self) -> int:
        """Dimensions of the images."""
        return 3 if self.layout == "decathlon" else 2


@dataclass(frozen=True)
class PhantomSettings:
    """How much phantom to draw: labelled and unlabelled cases, and the images' size in voxels or pixels."""

    cases: int
    unlabelled: int
    size: tuple[int, ...]


@dataclass(frozen=True)
class Estimate:
    """What a run costs, as measured, for `--dry-run`: seconds of one core or GPU, memory and disk."""

    pretrain_seconds: float
    finetune_seconds: float
    memory_gib: float
    disk_mib: float


@dataclass(frozen=True)
class Preset:
    """Size of an experiment.

    Args:
        n_folds: Number of folds over the labelled cases.
        folds: Which of them are run.
        seeds: Seeds of the fine-tuning runs.
        phantom: How much phantom to draw.
        prepare: Settings of `sslmed prepare`.
        estimate: Cost of a run.
        null_arms: How many baselines with other initial weights the figure has, to show what chance alone does.
        shares: Preset of another figure, as `fig3/quick`, whose overlays are used where this one has none of that name.
    """

    n_folds: int
    folds: list[int]
    seeds: list[int]
    phantom: PhantomSettings
    prepare: PrepareSettings
    estimate: Estimate
    null_arms: int = 0
    shares: str | None = None


def read_experiment(figure: str) -> Experiment:
    """Read `configs/experiments/<figure>.yaml`.

    Raises:
        UserError: If there is no such figure, or the file has unknown, missing or mistyped keys.
    """
    folder = config_root() / "experiments"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if figure not in known:
        msg = f"{figure}: no such figure; there are {', '.join(known)}"
        raise UserError(msg)
    return _read(Experiment, folder / f"{figure}.yaml")


def preset_folder(figure: str, preset: str) -> Path:
    """The folder of a figure's preset, given its name or a path.

    Raises:
        UserError: If there is none.
    """
    presets = config_root() / "presets" / figure
    folder = presets / preset if (presets / preset).is_dir() else Path(preset)
    if not (folder / "preset.yaml").is_file():
        known = sorted(path.parent.name for path in presets.glob("*/preset.yaml"))
        msg = f"{preset}: no such preset; choose {', '.join(known)}, or give a folder with a preset.yaml"
        raise UserError(msg)
    return folder.resolve()


def read_preset(folder: Path) -> Preset:
    """Read a preset's `preset.yaml`.

    Raises:
        UserError: If the file has unknown, missing or mistyped keys.
    """
    return _read(Preset, folder / "preset.yaml")


def _read(kind: type[Settings], path: Path) -> Settings:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "settings")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            msg = f"expected a mapping, got {type(content).__name__}"
            raise TypeError(msg)
        settings: Settings = parser.instantiate(parser.parse_object({"settings": content})).settings
        return settings
    except Exception as error:
        # yaml and jsonargparse have their own exceptions; all mean that the file is wrong.
        msg = f"{path}: {str(error).replace(os.linesep, ' ')}"
        raise UserError(msg) from error
