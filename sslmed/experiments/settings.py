"""An experiment as configuration: the figure's YAML and the preset's, checked before anything runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from jsonargparse import ArgumentParser

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount, label_amounts
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Labels, Task
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
        task: What is fine-tuned for, and so what the labels of its data must be: label maps, classes or values.
        metrics: The scores that are drawn, the main one first.
        encoder: YAML of the encoder.
        finetuning: YAMLs of data and task of fine-tuning.
        arms: Name of each arm -> the YAML of its pretext task, or nothing for training from scratch.
        fractions: Label fractions, in (0, 1].
        labels: Numbers of labels, or `all`, instead of fractions.
        regions: Scheme of the regions that are scored, see `SegmentationData`.
        phantom: Kind of phantom that stands in for data, if any does.
        photo: How photographs are prepared, see `PrepareSettings`.
    """

    figure: str
    task: Task
    metrics: list[str]
    encoder: str
    finetuning: list[str]
    arms: dict[str, str | None]
    fractions: list[float] | None = None
    labels: list[int | Literal["all"]] | None = None
    regions: Literal["brain_tumour"] | None = None
    phantom: str | None = None
    photo: Literal["plain", "fundus"] = "plain"

    def __post_init__(self) -> None:
        _ = self.label_amounts  # refuses what cannot be used

    @property
    def label_amounts(self) -> tuple[LabelAmount, ...]:
        """Amounts of labels that the figure compares."""
        return label_amounts(self.fractions, self.labels) or ()

    @property
    def label_kind(self) -> Labels:
        """What labels of its data are."""
        return LABELS_OF_TASKS[self.task]


@dataclass(frozen=True)
class PhantomSettings:
    """How large a phantom to generate: labelled and unlabelled cases, and the images' size in voxels or pixels."""

    cases: int
    unlabelled: int
    size: tuple[int, ...]


@dataclass(frozen=True)
class Estimate:
    """What a run costs, for `--dry-run`: seconds of one core or GPU, memory and disk.

    Args:
        device: What a job has for itself.
        pretrain_seconds: Of one pretraining run.
        finetune_seconds: Of one fine-tuning run with all labels. With fewer it takes as long where the preset counts
            updates, and in proportion less where it counts epochs.
        memory_gib: Of one job.
        disk_mib: Of one run.
    """

    device: Literal["core", "GPU"]
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
        prepare: Settings of `sslmed prepare`.
        estimate: Cost of a run.
        phantom: How large a phantom to generate, where the figure has one.
        size_2d: Side of prepared photographs, in pixels; that of `prepare` by default.
        handover: Which checkpoint of pretraining, the last or the best in validation, fine-tuning starts from.
        null_arms: How many baselines with other initial weights the figure has, to show what chance alone does.
        fractions: Label fractions, in (0, 1]; by default the figure's.
        labels: Numbers of labels, or `all`, instead of fractions.
        shares: Preset of another figure, as `fig3/quick`, whose overlays are used where this one has none of that name.
    """

    n_folds: int
    folds: list[int]
    seeds: list[int]
    prepare: PrepareSettings
    estimate: Estimate
    phantom: PhantomSettings | None = None
    size_2d: int | None = None
    handover: Literal["last", "best"] = "last"
    null_arms: int = 0
    fractions: list[float] | None = None
    labels: list[int | Literal["all"]] | None = None
    shares: str | None = None

    def __post_init__(self) -> None:
        _ = self.label_amounts  # refuses what cannot be used

    @property
    def label_amounts(self) -> tuple[LabelAmount, ...]:
        """Amounts of labels, if the preset has its own."""
        return label_amounts(self.fractions, self.labels) or ()


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
