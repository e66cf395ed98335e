"""The grid of runs behind a figure, as a pure function of its settings: which runs, with which configuration, where."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from sslmed.errors import UserError
from sslmed.experiments.settings import Experiment, Preset, config_root
from sslmed.files import write_text

BASELINE = "baseline"


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        arm: `baseline` or the pretext task.
        fold: Test fold.
        seed: Seed of a fine-tuning run; `None` for pretraining.
        fraction: Label fraction of a fine-tuning run; `None` for pretraining.
        name: The run's directory below the experiment's.
        job: The job that does the run, with others of its arm and fold.
        needs: Name of the pretraining run whose weights a fine-tuning run starts from.
        arguments: The run by hand is `sslmed fit` with these.
        key: Fingerprint of all that determines the result, the pretraining run included.
    """

    arm: str
    fold: int
    seed: int | None
    fraction: float | None
    name: str
    job: str
    needs: str | None
    arguments: tuple[str, ...]
    key: str


def percent(fraction: float) -> str:
    """A label fraction as it is written in paths: `5`, `100`, `2.5`."""
    return f"{100 * fraction:.10g}"


@dataclass(frozen=True)
class Grid:
    """What is compared and how often.

    Attributes:
        experiment: The figure.
        preset: Its size.
        preset_folder: Where the preset's overlays are.
        arms: Chosen arms.
        fractions: Chosen label fractions.
        folds: Chosen folds.
        seeds: Chosen seeds.
    """

    experiment: Experiment
    preset: Preset
    preset_folder: Path
    arms: tuple[str, ...]
    fractions: tuple[float, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        unknown = [arm for arm in self.arms if arm not in self.experiment.arms]
        if unknown:
            msg = f"unknown arms {', '.join(unknown)}: choose from {', '.join(self.experiment.arms)}"
            raise UserError(msg)
        wrong = [fraction for fraction in self.fractions if not 0 < fraction <= 1]
        if wrong:
            msg = f"label fractions must be in (0, 1], got {', '.join(map(str, wrong))}: 5 % is 0.05"
            raise UserError(msg)
        absent = [fold for fold in self.folds if not 0 <= fold < self.preset.n_folds]
        if absent:
            msg = f"folds must be in 0 to {self.preset.n_folds - 1}, got {', '.join(map(str, absent))}"
            raise UserError(msg)
        wild = [seed for seed in self.seeds if not 0 <= seed < 2**32]
        if wild:
            msg = f"seeds must be in 0 to 2**32 - 1, got {', '.join(map(str, wild))}"
            raise UserError(msg)
        overlays = {"preset", "encoder", "pretrain", "finetune", *self.experiment.arms}
        strays = sorted(path.name for path in self.preset_folder.glob("*.yaml") if path.stem not in overlays)
        if strays:
            msg = (
                f"{self.preset_folder}: {', '.join(strays)} would not be read; names are {', '.join(sorted(overlays))}"
            )
            raise UserError(msg)
        for name in ("arms", "fractions", "folds", "seeds"):
            chosen = getattr(self, name)
            if not chosen or len(set(chosen)) < len(chosen):
                msg = f"{name} must be at least one, each once, got {', '.join(map(str, chosen)) or 'none'}"
                raise UserError(msg)


def plan_runs(grid: Grid, *, dataset: str, store: Path, work: Path, wandb: str) -> list[Run]:
    """List all runs, pretraining before what starts from it.

    Args:
        grid: What is compared.
        dataset: Name of the dataset in tables.
        store: The prepared store.
        work: The experiment's directory, which holds the run directories.
        wandb: `disabled`, `offline` or `online`.
    """
    common = {
        "data.store": str(store),
        "data.n_folds": str(grid.preset.n_folds),
        "labels.figure": grid.experiment.figure,
        "labels.dataset": dataset,
        "labels.preset": grid.preset_folder.name,
        "wandb": wandb,
    }
    runs = []
    for arm in grid.arms:
        for fold in grid.folds:
            options = common | {"labels.arm": arm, "data.fold": str(fold)}
            parent = None
            if arm != BASELINE:
                parent = _run(grid, work, arm, fold, options=options)
                runs.append(parent)
            runs += [
                _run(grid, work, arm, fold, seed=seed, fraction=fraction, parent=parent, options=options)
                for seed in grid.seeds
                for fraction in grid.fractions
            ]
    return runs


def _run(
    grid: Grid,
    work: Path,
    arm: str,
    fold: int,
    *,
    options: dict[str, str],
    seed: int | None = None,
    fraction: float | None = None,
    parent: Run | None = None,
) -> Run:
    job = place = f"{arm}/fold{fold}"
    if fraction is None:
        stage = ["data/pretraining.yaml", str(grid.experiment.arms[arm]), "encoder/unet.yaml"]
        overlays = ["encoder.yaml", "pretrain.yaml", f"{arm}.yaml"]
        options = options | {"seed_everything": "0"}
        name = f"{place}/pretrain"
    else:
        stage = ["data/segmentation.yaml", "downstream/segmentation.yaml", "encoder/unet.yaml"]
        overlays = ["encoder.yaml", "finetune.yaml"]
        options = options | {"seed_everything": str(seed), "data.label_fraction": str(fraction)}
        name = f"{place}/seed{seed}/{percent(fraction)}"
    if len(grid.seeds) > 1:
        # Several seeds wait for the pretraining, and then run side by side. A single one goes on in the same process:
        # importing the libraries takes as long as a short run.
        job = name if fraction is None else f"{place}/seed{seed}"
    if parent is not None:
        options = options | {"model.pretrained": str(work / parent.name / "checkpoints" / "last.ckpt")}
    configs = [config_root() / file for file in ("base.yaml", *stage)]
    configs += [path for path in (grid.preset_folder / file for file in overlays) if path.is_file()]
    key = _fingerprint(configs, options, parent)
    options = options | {"labels.key": key, "run_dir": str(work / name)}
    arguments = [argument for path in configs for argument in ("-c", str(path))]
    arguments += [argument for option, value in options.items() for argument in (f"--{option}", value)]
    needs = None if parent is None else parent.name
    return Run(arm, fold, seed, fraction, name, job, needs, tuple(arguments), key)


def _fingerprint(configs: Iterable[Path], options: dict[str, str], parent: Run | None) -> str:
    """Hash what determines a run's result. Comments and places do not; the prepared store's name holds its key."""
    relevant = {name: value for name, value in options.items() if name not in ("wandb", "model.pretrained")}
    relevant["data.store"] = Path(relevant["data.store"]).name
    content = [_read_yaml(path) for path in configs]
    identity = json.dumps([content, relevant, None if parent is None else parent.key], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _read_yaml(path: Path) -> Any:  # noqa: ANN401 - any YAML
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        msg = f"{path}: not valid YAML ({' '.join(str(error).split())})"
        raise UserError(msg) from error


def write_plan(path: Path, runs: Sequence[Run]) -> None:
    """Write the runs for the workflow and its jobs."""
    write_text(path, json.dumps([asdict(run) for run in runs], indent=1) + "\n")


def read_plan(path: Path) -> list[Run]:
    """Read what `write_plan` wrote."""
    return [Run(**{**run, "arguments": tuple(run["arguments"])}) for run in json.loads(path.read_text())]
