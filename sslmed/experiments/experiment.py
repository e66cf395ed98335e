"""A figure as configuration: the YAML that says which arms it compares, and how."""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from sslmed.core.errors import UserError
from sslmed.core.files import expand_home, write_text
from sslmed.core.label_amount import LabelAmount, label_amounts
from sslmed.core.names import PLAIN
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.experiments.configs import config_root, is_yaml, known_names, read_settings
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS, Labels, Task


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


def read_experiment(figure: str) -> Experiment:
    """Read `configs/experiments/<figure>.yaml`, or a YAML of the user's own by its path.

    Raises:
        UserError: If there is no such figure, the file has unknown or missing keys or values of a wrong type, or it
            names files that do not exist.
    """
    folder = config_root() / "experiments"
    known = known_names("experiments")
    if figure in known:
        return read_settings(Experiment, folder / f"{figure}.yaml")
    path = Path(figure)
    if not is_yaml(figure) or not path.is_file():
        near = did_you_mean(figure, known) or did_you_mean_path(path, (".yaml", ".yml"))
        raise UserError(
            f"{figure}: no such figure; there are {', '.join(known)}, or give the path of a YAML like theirs{near}"
        )
    experiment = read_settings(Experiment, path)
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


def keep_experiment(work: Path, experiment: Experiment) -> None:
    """Write the experiment to its directory for the report, as its YAML can be anywhere."""
    write_text(work / "experiment.json", json.dumps(asdict(experiment), indent=1) + "\n")


def kept_experiment(work: Path, figure: str) -> Experiment:
    """Read the experiment that `keep_experiment` wrote to a directory; without one, the figure of this name."""
    path = work / "experiment.json"
    return read_settings(Experiment, path) if path.is_file() else read_experiment(figure)
