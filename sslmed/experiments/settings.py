"""An experiment as configuration: the figure's YAML and the preset's, checked before anything runs."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from jsonargparse import ArgumentParser

from sslmed.core.errors import UserError
from sslmed.core.files import expand_home, write_text
from sslmed.core.label_amount import LabelAmount, label_amounts
from sslmed.core.names import PLAIN
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.core.numbers import Amount, Count, Folds, Index, Seed
from sslmed.core.parsing import one_line
from sslmed.core.yaml_files import read_mapping
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Labels, Task
from sslmed.preparation.settings import PrepareSettings

Settings = TypeVar("Settings")

Precision = Literal["auto", "32-true", "bf16-mixed"]

PACKAGE = Path(__file__).resolve().parents[1]


def config_root() -> Path:
    """Return the folder of YAML files: inside an installed package, beside it in a checkout."""
    return next(path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if path.is_dir())


def known_names(folder: str) -> list[str]:
    """The names of what `configs/<folder>/` holds: `experiments`, `encoder` and so on."""
    return sorted(path.stem for path in (config_root() / folder).glob("*.yaml"))


@dataclass(frozen=True)
class Experiment:
    """Describes what a figure compares. Paths are relative to this YAML, or below sslmed's own `configs/`.

    Args:
        figure: Name of the figure, e.g. `fig3`.
        task: Task of fine-tuning. It decides which labels the data must have: label maps, classes or values.
        metrics: Scores to plot, the main one first.
        encoder: YAML of the encoder.
        finetuning: YAMLs of data and task of fine-tuning.
        arms: Name of each arm -> YAML of its pretext task, or nothing for training from scratch.
        groups: Name -> arms that `--arms @name` stands for. The first group is the default; without groups, all arms.
        fractions: Label fractions, in (0, 1].
        labels: Numbers of labels, or `all`, instead of fractions.
        regions: Scheme of the regions that are scored; see `SegmentationData`.
        phantom: Kind of synthetic data for this figure, if there is one.
        photo: Preparation of photographs; see `PrepareSettings`.
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
    groups: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _ = self.label_amounts  # refuses what cannot be used
        odd = [arm for arm in self.arms if PLAIN.fullmatch(arm) is None]
        if odd or not self.arms or not self.metrics:
            given = f"arms {odd or list(self.arms)} and metrics {self.metrics}"
            raise UserError(f"expected at least one metric, and one arm named in letters, digits, - and _, got {given}")

    @property
    def default_arms(self) -> list[str]:
        """Arms that are compared unless others are named."""
        return [*next(iter(self.groups.values()), self.arms)]

    @property
    def label_amounts(self) -> tuple[LabelAmount, ...]:
        """Amounts of labels that the figure compares."""
        return label_amounts(self.fractions, self.labels) or ()

    @property
    def label_kind(self) -> Labels:
        """Kind of labels that the data must have."""
        return LABELS_OF_TASKS[self.task]


@dataclass(frozen=True)
class PhantomSettings:
    """Sets the size of a phantom: numbers of labelled and unlabelled cases, and size of images in voxels or pixels."""

    cases: Index
    unlabelled: Index
    size: tuple[Count, ...]


@dataclass(frozen=True)
class Estimate:
    """Holds the cost of a run for `--dry-run`: seconds on one core or GPU, memory and disk.

    Args:
        device: Device of one job.
        pretrain_seconds: Duration of one pretraining run.
        finetune_seconds: Duration of one fine-tuning run with all labels. With fewer labels it is the same where the
            preset counts updates, and proportionally shorter where it counts epochs.
        memory_gib: Memory of one job.
        disk_mib: Disk space of one run.
    """

    device: Literal["core", "GPU"]
    pretrain_seconds: Amount
    finetune_seconds: Amount
    memory_gib: Amount
    disk_mib: Amount


@dataclass(frozen=True)
class Preset:
    """Sets the size of an experiment.

    Args:
        n_folds: Number of folds over the labelled cases.
        folds: Folds to run.
        seeds: Seeds of the fine-tuning runs.
        prepare: Settings of `sslmed prepare`.
        estimate: Cost of a run.
        phantom: Size of the phantom, where the figure has one.
        size_2d: Side of prepared photographs in pixels; by default that of `prepare`.
        handover: Checkpoint of pretraining that fine-tuning starts from: the last, or the best in validation.
        null_arms: Number of baselines with other initial weights, which show differences due to chance.
        fractions: Label fractions, in (0, 1]; by default the figure's.
        labels: Numbers of labels, or `all`, instead of fractions.
        precision: `auto` trains in `bf16-mixed` if the first command runs on a processor with instructions for
            bfloat16, without a GPU, otherwise in `32-true`. By default `trainer.precision` counts.
        shares: Preset of another figure, as `fig3/quick`, whose overlays are used too; this one's take precedence.
    """

    n_folds: Folds
    folds: list[Index]
    seeds: list[Seed]
    prepare: PrepareSettings
    estimate: Estimate
    phantom: PhantomSettings | None = None
    size_2d: Count | None = None
    handover: Literal["last", "best"] = "last"
    null_arms: Index = 0
    fractions: list[float] | None = None
    labels: list[int | Literal["all"]] | None = None
    precision: Precision | None = None
    shares: str | None = None

    def __post_init__(self) -> None:
        _ = self.label_amounts  # refuses what cannot be used

    @property
    def label_amounts(self) -> tuple[LabelAmount, ...]:
        """Amounts of labels, if the preset has its own."""
        return label_amounts(self.fractions, self.labels) or ()


def read_experiment(figure: str) -> Experiment:
    """Read `configs/experiments/<figure>.yaml`, or a YAML of the user's own by its path.

    Raises:
        UserError: If there is no such figure, the file has unknown or missing keys or values of a wrong type, or it
            names files that do not exist.
    """
    folder = config_root() / "experiments"
    known = known_names("experiments")
    if figure in known:
        return _read(Experiment, folder / f"{figure}.yaml")
    path = Path(figure)
    if not is_yaml(figure) or not path.is_file():
        near = did_you_mean(figure, known) or did_you_mean_path(path, (".yaml", ".yml"))
        raise UserError(
            f"{figure}: no such figure; there are {', '.join(known)}, or give the path of a YAML like theirs{near}"
        )
    experiment = _read(Experiment, path)
    if experiment.figure in known or not re.fullmatch(r"[A-Za-z0-9_-]+", experiment.figure):
        raise UserError(
            f"{path}: figure is {experiment.figure!r}, expected a name of its own, in letters, digits, - and _, other "
            f"than {', '.join(known)}: its results get a folder of that name"
        )
    return replace(
        experiment,
        encoder=_found(experiment.encoder, path),
        finetuning=[_found(file, path) for file in experiment.finetuning],
        arms={arm: None if file is None else _found(file, path) for arm, file in experiment.arms.items()},
    )


def _found(file: str, experiment: Path) -> str:
    """Find a file that an experiment's YAML names."""
    places = (experiment.resolve().parent / expand_home(file), config_root() / file)
    found = [path for path in places if path.is_file()]
    if not found:
        raise UserError(f"{experiment}: names {file}, which is neither {places[0]} nor {places[1]}")
    return str(found[0])


def is_yaml(name: str) -> bool:
    """Whether an argument is the path of a YAML file rather than a name."""
    return name.endswith((".yaml", ".yml"))


def keep_experiment(work: Path, experiment: Experiment) -> None:
    """Write the experiment to its directory for the report, as its YAML can be anywhere."""
    write_text(work / "experiment.json", json.dumps(asdict(experiment), indent=1) + "\n")


def kept_experiment(work: Path, figure: str) -> Experiment:
    """Read the experiment that `keep_experiment` wrote to a directory; without one, the figure of this name."""
    path = work / "experiment.json"
    return _read(Experiment, path) if path.is_file() else read_experiment(figure)


def preset_folder(figure: str, preset: str) -> Path:
    """Find the folder of a preset by its name, by the name in another figure such as `fig3/quick`, or by its path.

    Raises:
        UserError: If it does not exist.
    """
    presets = config_root() / "presets" / figure
    folder = next((path for path in (presets / preset, presets.parent / preset) if path.is_dir()), Path(preset))
    if not (folder / "preset.yaml").is_file():
        of_others = presets.parent.glob("*/*/preset.yaml")
        known = sorted(path.parent.name for path in presets.glob("*/preset.yaml"))
        known = known or sorted("/".join(path.parts[-3:-1]) for path in of_others)
        near = did_you_mean(preset, known) or did_you_mean_path(Path(preset))
        raise UserError(
            f"{preset}: no such preset; choose {', '.join(known)}, or give a folder with a preset.yaml{near}"
        )
    return folder.resolve()


def read_preset(folder: Path) -> Preset:
    """Read a preset's `preset.yaml`.

    Raises:
        UserError: If the file has unknown or missing keys, or values of a wrong type.
    """
    return _read(Preset, folder / "preset.yaml")


def _read(kind: type[Settings], path: Path) -> Settings:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "settings")
    content = read_mapping(path)
    try:
        settings: Settings = parser.instantiate(parser.parse_object({"settings": content})).settings
    except Exception as error:  # jsonargparse raises exceptions of its own. All mean that the file is not valid.
        known = [f"--{name}" for name in _keys(kind)]
        raise UserError(f"{path}: {one_line(str(error), known).replace('--', '')}") from error
    return settings


def _keys(kind: Any) -> Iterator[str]:  # noqa: ANN401 - a dataclass
    """Yield the names of a dataclass's fields, and `prepare.size` of those that are dataclasses themselves."""
    for name, hint in get_type_hints(kind).items():
        yield name
        for part in filter(is_dataclass, (hint, *get_args(hint))):
            yield from (f"{name}.{each}" for each in _keys(part))
