"""What a figure compares: arms, amounts of labels, folds and seeds, and the preset's files for them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.core.names import check_name
from sslmed.core.nearest import did_you_mean
from sslmed.core.text import by_spaces
from sslmed.experiments.arms import DECODER, EXTERNAL, NULL, SLICES, SUPERVISED, Arm
from sslmed.experiments.configs import config_root
from sslmed.experiments.experiment import Experiment, read_experiment
from sslmed.experiments.options import Finetuning
from sslmed.experiments.own import RESERVED, encoder_class, weights_file
from sslmed.experiments.preset import Preset
from sslmed.preparation.settings import PrepareSettings


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
        finetuning: `frozen` trains only what follows the encoder, also the baseline's, which stays random.
        balanced_pools: Whether batches have as many images of each of several external pools.
        final: Whether to train a final model on all labels instead of comparing arms.
    """

    experiment: Experiment
    preset: Preset
    preset_folder: Path
    arms: tuple[str, ...]
    labels: tuple[LabelAmount, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    encoder: Path | None = None
    finetuning: Finetuning = "full"
    balanced_pools: bool = False
    final: bool = False

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
            raise UserError(f"folds must be in 0 to {self.preset.n_folds - 1}, got {', '.join(map(str, absent))}")
        wild = [seed for seed in self.seeds if not 0 <= seed < 2**32]
        if wild:
            raise UserError(f"seeds must be in 0 to 2**32 - 1, got {', '.join(map(str, wild))}")
        ours = [path.stem for path in (config_root() / "pretext").glob("*.yaml")]  # a preset may be another figure's
        overlays = {*RESERVED, *self.experiment.arms, *ours}
        overlays |= {f"{name}{suffix}" for name in overlays - {"preset"} for suffix in (EXTERNAL, SLICES)}
        strays = sorted(path.name for path in self.preset_folder.glob("*.yaml") if path.stem not in overlays)
        if strays:
            cure = "correct the name, or give the arm of your own that it is for, too"
            near = did_you_mean(strays[0], [f"{name}.yaml" for name in overlays])
            raise UserError(f"{self.preset_folder}: {', '.join(strays)} would not be read: {cure}{near}")
        for name in ("arms", "labels", "folds", "seeds"):
            times = Counter(map(str, getattr(self, name)))  # as their folders are called
            if not times:
                raise UserError(f"{name} must be at least one, got none")
            if repeated := [each for each, number in times.items() if number > 1]:
                raise UserError(f"{name} must be given once each, got more than once: {', '.join(repeated)}")

    def overlay(self, file: str) -> list[Path]:
        """List the YAML files of this name: of the presets that this one shares overlays with, then its own, if any."""
        folders = (*self.preset.shared_folders, self.preset_folder)
        return [path for path in (folder / file for folder in folders) if path.is_file()]

    @property
    def name(self) -> str:
        """Name of the preset in paths and tables, plus the encoder where it is not the figure's, plus `frozen`."""
        encoder = [] if self.encoder is None else [self.encoder.stem]
        return "-".join([self.preset_folder.name, *encoder, *(["frozen"] if self.finetuning == "frozen" else [])])

    def encoder_files(self, suffixes: Sequence[str]) -> list[Path]:
        """List the encoder's YAML and the preset's overlays. A YAML of the user's own takes precedence over both.

        Overlays for another encoder class are ignored, as its arguments differ.
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

    def weights(self, arm: Arm) -> Path | None:
        """File of weights that an arm starts from instead of pretraining, if its YAML names one."""
        file = self.experiment.arms.get(arm.pretext)
        return None if file is None else weights_file(config_root() / file)

    def learns_from_the_dataset(self, arm: Arm) -> bool:
        """Whether an arm is pretrained on the dataset's own images, so that its labels can tell what it learns."""
        return arm.is_pretrained and arm.sees_the_dataset and self.weights(arm) is None

    def _check_arm(self, arm: Arm) -> None:
        figure, known = self.experiment.figure, self.experiment.arms
        varied = arm.external or arm.hands_over_decoder
        of_ours = (arm.is_null or arm.is_supervised) and not arm.external
        if not of_ours and (arm.pretext not in known or (varied and known[arm.pretext] is None)):
            suffixes = "<task>-external" + (f", <task>{DECODER}, each also with {SLICES}" if self.takes_slices else "")
            names = [*known, SUPERVISED, NULL]
            near = by_spaces(arm.name) or did_you_mean(arm.name, names)
            raise UserError(f"unknown arm {arm.name}: choose from {', '.join(names)}, {suffixes}, or give a YAML{near}")
        if arm.hands_over_decoder and not self.takes_slices:
            raise UserError(
                f"unknown arm {arm.name}: {figure} predicts no label maps and has no decoder; use {arm.pretext}"
            )
        if arm.external and self.weights(arm) is not None:
            raise UserError(f"unknown arm {arm.name}: {arm.pretext} starts from a file of weights and sees no pool")
        if arm.slices and not self.takes_slices:
            raise UserError(
                f"unknown arm {arm.name}: labels of {figure} are of whole images, not slices; use {arm.task}"
            )
