"""Options of `sslmed reproduce`; importing them imports nothing heavy, as `--help` does so."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sslmed.core.numbers import Count, Index

Finetuning = Literal["full", "frozen"]


@dataclass(frozen=True)
class Options:
    """Options of `sslmed reproduce`; `None` takes the preset's or the figure's.

    Attributes:
        figure: Name of a figure, or the path of a YAML of your own.
        data: `phantom`, a known dataset, a table (CSV), or a folder with one or in MSD or APTOS layout; and more of
            these but `phantom`, or folders of loose images as unlabelled cases.
        pool: Folders, tables or known datasets with images for arms <task>-external, whose labels are not read; by
            default these arms are then run as well.
        balanced_pools: Take as many images from each pool, whatever their sizes; by default all images are equal.
        source: Another labelled dataset, as for data, for the arm supervised; by default it is then run as well.
            `phantom` is one of other synthetic patients.
        preset: quick, sound, paper, or a folder with a preset.yaml.
        auto_spacing: Choose spacing and crops from volumes and memory, and write them to a preset of your own, which
            starts from --preset.
        arms: Arms to compare: names, groups (@paper, @modern, @all), and YAML files of your own pretext tasks; the
            figure's first group by default.
        encoder: Name or YAML of an encoder; the figure's by default.
        finetuning: Whether fine-tuning trains the whole network, or only what follows the frozen encoder.
        fractions: Label fractions, in (0, 1].
        labels: Numbers of labelled training cases, or `all`, instead of fractions.
        folds: Folds to run; the preset's by default.
        seeds: Seeds of fine-tuning; the preset's by default.
        jobs: Jobs side by side; by default as many as the profile, or cores and the memory of GPUs, allow.
        devices: GPUs, or processes on the CPU, that train one run together.
        executor: Where jobs run.
        profile: Snakemake profile of a cluster: partition, account, time, memory.
        out: Where tables and figures go.
        runs: Where runs and prepared data go.
        downloads: Where generated and downloaded data go.
        wandb: Whether runs are mirrored to Weights & Biases.
        probes: Measure during pretraining how well the labels can be predicted from the encoder's features, for the
            report; finished runs stay as they are.
        check: Compare the scores of a phantom (preset quick) with measured ones; exit status 1 if some are outside the
            range between processors.
        dry_run: List what is done and to do, and what it would cost.
        final: Train one model on all labels, for use: of the arm of --arms, or of the best in validation so far.
    """

    figure: str
    data: Sequence[str] = ("phantom",)
    pool: Sequence[str] | None = None
    balanced_pools: bool = False
    source: str | None = None
    preset: str = "quick"
    auto_spacing: bool = False
    arms: Sequence[str] | None = None
    encoder: str | None = None
    finetuning: Finetuning = "full"
    fractions: Sequence[float] | None = None
    labels: Sequence[int | str] | None = None
    folds: Sequence[Index] | None = None
    seeds: Sequence[Index] | None = None
    jobs: Count | None = None
    devices: Count = 1
    executor: Literal["local", "slurm"] = "local"
    profile: Path | None = None
    out: Path = Path("results")
    runs: Path = Path("runs")
    downloads: Path = Path("data")
    wandb: Literal["disabled", "offline", "online"] = "disabled"
    probes: bool = False
    check: bool = False
    dry_run: bool = False
    final: bool = False
