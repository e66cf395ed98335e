"""The grid of runs behind a figure, with configuration and folder of each, as a pure function of the settings."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.files import write_text
from sslmed.core.label_amount import LabelAmount
from sslmed.core.names import check_name
from sslmed.core.nearest import did_you_mean
from sslmed.experiments.arms import DECODER, EXTERNAL, NULL, SLICES, Arm
from sslmed.experiments.own import RESERVED, encoder_class
from sslmed.experiments.seen import SeenData
from sslmed.experiments.settings import Experiment, Preset, config_root, read_experiment, read_yaml
from sslmed.preparation.settings import PrepareSettings


@dataclass(frozen=True)
class Run:
    """Describes one training run.

    Attributes:
        arm: Name of the arm.
        fold: Test fold.
        seed: Seed of a fine-tuning run; `None` for pretraining.
        labels: Amount of labels of a fine-tuning run; `None` for pretraining.
        name: The run's directory below the experiment's.
        job: The job that does the run, with others of its arm and fold.
        needs: Name of the pretraining run whose weights a fine-tuning run starts from.
        arguments: Arguments of `sslmed fit` that do the run by hand.
        key: Fingerprint of all settings that determine the result, including those of the pretraining run.
        devices: GPUs, or processes on the CPU, of the run.
        data: Fingerprint of what the run, and the pretraining run, see of the data; `None` if the data are not here.
    """

    arm: str
    fold: int
    seed: int | None
    labels: LabelAmount | None
    name: str
    job: str
    needs: str | None
    arguments: tuple[str, ...]
    key: str
    devices: int = 1
    data: str | None = None


@dataclass(frozen=True)
class Grid:
    """Holds the arms to compare, and with which labels, folds and seeds.

    Attributes:
        experiment: The figure.
        preset: Size of the experiment.
        preset_folder: Folder of the preset's overlays.
        arms: Chosen arms.
        labels: Chosen amounts of labels.
        folds: Chosen folds.
        seeds: Chosen seeds.
        encoder: YAML of an encoder that replaces the figure's.
    """

    experiment: Experiment
    preset: Preset
    preset_folder: Path
    arms: tuple[str, ...]
    labels: tuple[LabelAmount, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    encoder: Path | None = None

    @property
    def takes_slices(self) -> bool:
        """Whether arms may use slices: a slice has a part of the label map, but not the class or value of a volume."""
        return self.experiment.label_kind == "map"

    def prepare_settings(self, spatial_dims: int) -> PrepareSettings:
        """Settings for preparing images with this number of dimensions."""
        settings = replace(self.preset.prepare, photo=self.experiment.photo)
        size_2d = self.preset.size_2d if spatial_dims == 2 else None
        return settings if size_2d is None else replace(settings, size=size_2d)

    def __post_init__(self) -> None:
        check_name(self.name, self.preset_folder)
        for arm in map(Arm.parse, self.arms):
            self._check_arm(arm)
        absent = [fold for fold in self.folds if not 0 <= fold < self.preset.n_folds]
        if absent:
            msg = f"folds must be in 0 to {self.preset.n_folds - 1}, got {', '.join(map(str, absent))}"
            raise UserError(msg)
        wild = [seed for seed in self.seeds if not 0 <= seed < 2**32]
        if wild:
            msg = f"seeds must be in 0 to 2**32 - 1, got {', '.join(map(str, wild))}"
            raise UserError(msg)
        ours = [path.stem for path in (config_root() / "pretext").glob("*.yaml")]  # a preset may be another figure's
        overlays = {*RESERVED, *self.experiment.arms, *ours}
        overlays |= {f"{name}{suffix}" for name in overlays - {"preset"} for suffix in (EXTERNAL, SLICES)}
        strays = sorted(path.name for path in self.preset_folder.glob("*.yaml") if path.stem not in overlays)
        if strays:
            msg = (
                f"{self.preset_folder}: {', '.join(strays)} would not be read; names are {', '.join(sorted(overlays))}"
            )
            raise UserError(msg)
        for name in ("arms", "labels", "folds", "seeds"):
            chosen = getattr(self, name)
            if not chosen or len(set(map(str, chosen))) < len(chosen):  # as their folders are called
                msg = f"{name} must be at least one, each once, got {', '.join(map(str, chosen)) or 'none'}"
                raise UserError(msg)

    def overlay(self, file: str) -> list[Path]:
        """Find the YAML of this name in the preset, else in the preset that it shares overlays with; may be empty."""
        folders = [self.preset_folder]
        if self.preset.shares is not None:
            folders.append(config_root() / "presets" / self.preset.shares)
        return [path for path in (folder / file for folder in folders) if path.is_file()][:1]

    @property
    def name(self) -> str:
        """Name of the preset in paths and tables, plus the encoder where it is not the figure's."""
        return self.preset_folder.name + ("" if self.encoder is None else f"-{self.encoder.stem}")

    def encoder_files(self, suffixes: Sequence[str]) -> list[Path]:
        """List the encoder's YAML and the preset's overlays. A YAML of the user's own takes precedence over both.

        Overlays for another encoder class are ignored, as its arguments differ.

        Args:
            suffixes: Suffixes of the overlays' names.
        """
        left_out = self.left_out
        overlays = [path for path in self._encoder_overlays(suffixes) if path not in left_out]
        return [self._encoder, *overlays, *([self._encoder] if overlays and self.encoder is not None else [])]

    @property
    def left_out(self) -> dict[Path, str]:
        """Overlays of the preset that are ignored, because they are for another encoder class -> that class."""
        chosen = encoder_class(self._encoder)
        meant = {path: self._meant_encoder(path) for path in self._encoder_overlays(["", EXTERNAL, SLICES])}
        return {path: str(kind) for path, kind in meant.items() if kind != chosen}

    @property
    def _encoder(self) -> Path:
        return config_root() / self.experiment.encoder if self.encoder is None else self.encoder

    def _encoder_overlays(self, suffixes: Sequence[str]) -> list[Path]:
        return [path for suffix in suffixes for path in self.overlay(f"encoder{suffix}.yaml")]

    def _meant_encoder(self, overlay: Path) -> str | None:
        """Return the class that an overlay is for: the one it names, else that of the figure of its preset."""
        presets, figure = config_root() / "presets", self.experiment
        if overlay.is_relative_to(presets):
            figure = read_experiment(overlay.relative_to(presets).parts[0])
        return encoder_class(overlay) or encoder_class(config_root() / figure.encoder)

    def _check_arm(self, arm: Arm) -> None:
        figure, known = self.experiment.figure, self.experiment.arms
        varied = arm.external or arm.hands_over_decoder
        if (arm.pretext not in known and not arm.is_null) or (varied and known.get(arm.pretext) is None):
            suffixes = "<task>-external" + (f", <task>{DECODER}, each also with {SLICES}" if self.takes_slices else "")
            near = did_you_mean(arm.name, [*known, NULL])
            raise UserError(f"unknown arm {arm.name}: choose from {', '.join(known)}, {NULL} and {suffixes}{near}")
        if arm.hands_over_decoder and not self.takes_slices:
            raise UserError(
                f"unknown arm {arm.name}: {figure} predicts no label maps and has no decoder; use {arm.pretext}"
            )
        if arm.slices and not self.takes_slices:
            raise UserError(
                f"unknown arm {arm.name}: labels of {figure} are of whole images, not slices; use {arm.task}"
            )


@dataclass(frozen=True)
class Places:
    """Holds the paths of an experiment.

    Attributes:
        work: The experiment's directory, which holds the run directories.
        store: The prepared dataset.
        pool: The prepared external pool, for arms that use one.
        spatial_dims: Dimensions of the images. A preset's 2-D settings apply to photographs and to slices of volumes.
        seen: What runs see of the data, if it is here.
    """

    work: Path
    store: Path
    pool: Path | None = None
    spatial_dims: int = 3
    seen: SeenData | None = None


def plan_runs(grid: Grid, places: Places, *, dataset: str, wandb: str, devices: int = 1) -> list[Run]:
    """List all runs, each pretraining run before the runs that start from it.

    Args:
        grid: Arms, labels, folds and seeds.
        places: Paths of the experiment.
        dataset: Name of the dataset in tables.
        wandb: `disabled`, `offline` or `online`.
        devices: GPUs, or processes on the CPU, per run.
    """
    common = {
        "labels.figure": grid.experiment.figure,
        "labels.dataset": dataset,
        "labels.preset": grid.name,
        "wandb": wandb,
    }
    if devices > 1:
        common["trainer.devices"] = str(devices)
    runs = []
    for arm in map(Arm.parse, grid.arms):
        for fold in grid.folds:
            options = common | {"labels.arm": arm.name}
            parent = None
            if arm.is_pretrained:
                parent = _pretraining_run(grid, places, arm, fold, options)
                runs.append(parent)
            runs += [
                _finetuning_run(grid, places, arm, fold, seed, labels, parent, options)
                for seed in grid.seeds
                for labels in grid.labels
            ]
    return runs


def _pretraining_run(grid: Grid, places: Places, arm: Arm, fold: int, options: dict[str, str]) -> Run:
    place = f"{arm.name}/fold{fold}"
    if arm.external:
        # The pool is the same for all folds. Pretraining is repeated per fold, so that intervals include its noise.
        options = options | {"data.store": str(places.pool), "data.fold": str(fold)}
    else:
        options = options | _fold_options(grid, places, fold)
    options |= {"seed_everything": "0"}
    of_data = "data/pool.yaml" if arm.external else "data/pretraining.yaml"
    stage = [of_data, str(grid.experiment.arms[arm.pretext])]
    configs = _configs(grid, places, arm, stage, ["pretrain", arm.pretext])
    name = f"{place}/pretrain"
    # Several seeds wait for the pretraining, then run in parallel. A single seed continues in the same process, because
    # importing the libraries takes as long as a short run.
    job = name if len(grid.seeds) > 1 else place
    contents = [read_yaml(path) for path in configs]
    data = (
        None
        if places.seen is None
        else places.seen.of_pretraining(
            external=arm.external,
            fold=fold,
            n_folds=grid.preset.n_folds,
            split_seed=_data_option(contents, "split_seed", 0),
            transductive=_data_option(contents, "transductive", False),
        )
    )
    key = _fingerprint(contents, options, None)
    identity = {"arm": arm.name, "fold": fold, "seed": None, "labels": None, "name": name, "job": job, "data": data}
    return _run(places, configs, options, key, None, **identity)


def _finetuning_run(
    grid: Grid,
    places: Places,
    arm: Arm,
    fold: int,
    seed: int,
    labels: LabelAmount,
    parent: Run | None,
    options: dict[str, str],
) -> Run:
    place = f"{arm.name}/fold{fold}"
    options = options | _fold_options(grid, places, fold)
    amount, value = labels.option
    options |= {"seed_everything": str(seed), f"data.{amount}": value}
    if grid.experiment.regions is not None:
        options["data.regions"] = grid.experiment.regions
    if arm.initial_weights:
        options["initial_weights"] = str(arm.initial_weights)
    if parent is not None:
        checkpoint = places.work / parent.name / "checkpoints" / f"{grid.preset.handover}.ckpt"
        options["model.pretrained.checkpoint"] = str(checkpoint)
    if arm.external:
        options["model.pretrained.adapt_channels"] = "true"
    if arm.hands_over_decoder:
        options["model.pretrained.load"] = "all"
    configs = _configs(grid, places, arm, grid.experiment.finetuning, ["finetune"])
    job = f"{place}/seed{seed}" if len(grid.seeds) > 1 else place
    name = f"{place}/seed{seed}/{labels.path}"
    contents = [read_yaml(path) for path in configs]
    split_seed = _data_option(contents, "split_seed", 0)
    folds = {"fold": fold, "n_folds": grid.preset.n_folds, "split_seed": split_seed}
    data = None
    if places.seen is not None and (parent is None or parent.data is not None):
        pretraining = None if parent is None else parent.data
        data = places.seen.of_finetuning(labels, **folds, seed=seed, pretraining=pretraining)
    key = _fingerprint(contents, options, parent)
    identity = {"arm": arm.name, "fold": fold, "seed": seed, "labels": labels, "name": name, "job": job, "data": data}
    return _run(places, configs, options, key, parent, **identity)


def _fold_options(grid: Grid, places: Places, fold: int) -> dict[str, str]:
    return {"data.store": str(places.store), "data.fold": str(fold), "data.n_folds": str(grid.preset.n_folds)}


def _configs(grid: Grid, places: Places, arm: Arm, stage: Sequence[str], overlays: Sequence[str]) -> list[Path]:
    """List the YAML files of a run: those of the stage, then the preset's overlays, each followed by its variants."""
    slices = ["data/slices.yaml"] if arm.slices else []
    suffixes = [""] + [EXTERNAL] * arm.external + [SLICES] * (arm.slices or places.spatial_dims == 2)
    files = [config_root() / file for file in ("base.yaml", *stage, *slices)] + grid.encoder_files(suffixes)
    overlays = ("run", *overlays)
    return files + [path for name in overlays for suffix in suffixes for path in grid.overlay(f"{name}{suffix}.yaml")]


def _run(
    places: Places,
    configs: Sequence[Path],
    options: dict[str, str],
    key: str,
    parent: Run | None,
    **identity: Any,  # noqa: ANN401 - fields of Run
) -> Run:
    options = options | {"labels.key": key, "run_dir": str(places.work / identity["name"])}
    arguments = [argument for path in configs for argument in ("-c", str(path))]
    arguments += [argument for option, value in options.items() for argument in (f"--{option}", value)]
    needs = None if parent is None else parent.name
    devices = int(options.get("trainer.devices", 1))
    return Run(**identity, needs=needs, arguments=tuple(arguments), key=key, devices=devices)


def _data_option(contents: Sequence[Any], name: str, default: Any) -> Any:  # noqa: ANN401 - any YAML
    """Find an argument of the data module in the contents of YAML files, of which later ones take precedence."""
    for content in reversed(contents):
        for section in ("data", "init_args"):
            content = content.get(section) if isinstance(content, dict) else None
        if isinstance(content, dict) and name in content:
            return content[name]
    return default


def _fingerprint(contents: Sequence[Any], options: dict[str, str], parent: Run | None) -> str:
    """Hash all settings that determine a run's result. Comments and paths do not."""
    relevant = {name: value for name, value in options.items() if name not in ("wandb", "data.store")}
    checkpoint = "model.pretrained.checkpoint"
    relevant |= {checkpoint: Path(relevant[checkpoint]).name} if checkpoint in relevant else {}
    identity = json.dumps([[*contents], relevant, None if parent is None else parent.key], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def write_plan(path: Path, runs: Sequence[Run]) -> None:
    """Write runs to a file, if it does not hold them already."""
    text = json.dumps([asdict(run) for run in runs], indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def read_plan(path: Path) -> list[Run]:
    """Read the plan that `write_plan` wrote.

    Raises:
        UserError: If it is damaged.
    """
    try:
        return [_read_run(run) for run in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}); `sslmed reproduce` writes it again") from error


def _read_run(run: dict[str, Any]) -> Run:
    labels = None if run["labels"] is None else LabelAmount(**run["labels"])
    return Run(**{**run, "labels": labels, "arguments": tuple(run["arguments"])})
