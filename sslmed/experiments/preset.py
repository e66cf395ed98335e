"""The size of an experiment as configuration: a preset's folder, and its `preset.yaml`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount, label_amounts
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.core.numbers import Amount, Count, Folds, Index, Seed
from sslmed.experiments.configs import config_root, read_settings
from sslmed.preparation.settings import PrepareSettings

Precision = Literal["auto", "32-true", "bf16-mixed"]


@dataclass(frozen=True)
class PhantomSettings:
    """Sets the size of a phantom: numbers of labelled and unlabelled cases, and size of images in voxels or pixels."""

    cases: Index
    unlabelled: Index
    size: tuple[Count, ...]


@dataclass(frozen=True)
class Estimate:
    """Holds the cost of a run with the figure's encoder for `--dry-run`: seconds on one core or GPU, memory and disk.

    Args:
        device: Device of one job.
        pretrain_seconds: Duration of one pretraining run, the mean of the published tasks.
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
        _ = self.label_amounts, self.shared_folders  # refuse what cannot be used

    @property
    def label_amounts(self) -> tuple[LabelAmount, ...]:
        """Amounts of labels, if the preset has its own."""
        return label_amounts(self.fractions, self.labels) or ()

    @property
    def shared_folders(self) -> list[Path]:
        """Folders of the presets whose overlays are used too, the one that is read first before the others."""
        return [] if self.shares is None else _shared_folders(self.shares)


@cache  # asked for every file of every run
def _shared_folders(shares: str) -> list[Path]:
    """Return the folder of a preset that is shared, after those that it shares itself."""
    presets = config_root() / "presets"
    known = sorted("/".join(path.parts[-3:-1]) for path in presets.glob("*/*/preset.yaml"))
    if shares not in known:
        raise UserError(f"shares must be one of {', '.join(known)}, got {shares}{did_you_mean(shares, known)}")
    folder = presets / shares
    return [*read_preset(folder).shared_folders, folder]


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
    return read_settings(Preset, folder / "preset.yaml")
