"""On a GPU: how many hours the `paper` preset of Figure 3 takes, from the measured speed of its own runs."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from benchmarks import phantoms
from benchmarks.measure import Findings
from benchmarks.rates import synchronise
from sslmed.experiments.arms import BASELINE
from sslmed.experiments.experiment import read_experiment
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.plan import plan_runs
from sslmed.experiments.preset import preset_folder, read_preset
from sslmed.learning.captured import WARM_UP
from sslmed.training.lightning_cli import SSLMedCLI, main

FIGURE = "fig3"


@dataclass(frozen=True)
class Sizes:
    """The preset; cases as in MSD Task07; updates that are timed, after some that are not."""

    preset: str = "paper"
    labelled: int = 281
    unlabelled: int = 139
    updates: int = 10
    warm_up: int = WARM_UP + 2  # by then, the step is recorded


SIZES = {"quick": Sizes(), "full": Sizes(updates=200, warm_up=20)}


def measure(sizes: Sizes, folder: Path) -> Findings:
    """Build every kind of run as the workflow would, start each, and extrapolate its speed to the whole run."""
    findings = Findings()
    experiment, presets = read_experiment(FIGURE), preset_folder(FIGURE, sizes.preset)
    preset = read_preset(presets)
    prepared = phantoms.prepared(folder, preset.prepare.size)
    store = phantoms.repeat_store(prepared, folder / "cases", sizes.labelled, sizes.unlabelled)
    arms, labels = tuple(experiment.default_arms), experiment.label_amounts
    grid = Grid(experiment, preset, presets, arms, labels, (preset.folds[0],), (preset.seeds[0],))
    plan = plan_runs(grid, Places(folder / "work", store.root), dataset="phantom", wandb="disabled")
    hours = 0.0
    finetuning: Pace | None = None
    for run in reversed(plan):  # all labels come first
        # Fine-tuning takes equally long in all arms, except while frozen. Only the baseline needs no weights.
        if run.labels is None or run.arm == BASELINE:
            pace = _begin(run.arguments, sizes, None if run.labels is None else finetuning)
            if run.labels is not None:
                finetuning = pace
            times = 1 if run.labels is None else len(arms) * len(preset.seeds)
            hours += times * pace.hours
            name = run.name.replace(f"/fold{run.fold}", "")
            findings.add(f"{name}: updates per second", 1 / pace.seconds, "1/s")
            findings.add(
                f"{name}: hours for {pace.updates} updates and {pace.validations} validations", pace.hours, "h"
            )
    findings.add("GPU-hours per fold", hours, "h")
    findings.add("GPU-hours in total", hours * len(preset.folds), "h")
    findings.remark(
        f"{FIGURE}, {sizes.preset}, with {sizes.labelled} labelled and {sizes.unlabelled} unlabelled cases: "
        f"{len(arms)} arms, {len(labels)} fractions, {len(preset.seeds)} seeds; precision and batch sizes are the "
        "preset's own"
    )
    return findings


@dataclass
class Pace:
    """Seconds of an update and of a validation pass, and how many of them a run has."""

    seconds: float = 0.0
    validation_seconds: float = 0.0
    updates: int = 0
    validations: int = 0

    @property
    def hours(self) -> float:
        """Duration of the whole run in seconds."""
        return (self.updates * self.seconds + self.validations * self.validation_seconds) / 3600


class EnoughError(Exception):
    """Ends a run whose speed has been measured."""


class Timer(Callback):
    """Times updates, without the validation passes between them, and then ends the run."""

    def __init__(self, pace: Pace, sizes: Sizes) -> None:
        self.pace, self.sizes = pace, sizes
        self.done, self.start, self.paused, self.first_batch = 0, 0.0, 0.0, 0.0

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Start the clock after the warm-up; at the end, read it."""
        self.done += 1
        if self.done == self.sizes.warm_up:
            self.start = _now(trainer)
        elif self.done == self.sizes.warm_up + self.sizes.updates:
            self.pace.seconds = (_now(trainer) - self.start) / self.sizes.updates
            raise EnoughError

    def on_validation_start(self, trainer: Trainer, *_: object) -> None:
        """Stop the clock."""
        self.paused = _now(trainer)

    def on_validation_batch_start(self, trainer: Trainer, *arguments: Any) -> None:  # noqa: ANN401
        """Note when the first batch is there: a run starts its loader once."""
        if arguments[2] == 0:
            self.first_batch = _now(trainer)

    def on_validation_end(self, trainer: Trainer, *_: object) -> None:
        """Restart the clock."""
        now = _now(trainer)
        self.start += now - self.paused
        self.pace.validation_seconds = now - self.first_batch


def _now(trainer: Trainer) -> float:
    synchronise(trainer.strategy.root_device)
    return time.perf_counter()


def _begin(arguments: tuple[str, ...], sizes: Sizes, known: Pace | None) -> Pace:
    """Start a run and validate once; if the speed is known, only count its updates."""
    pace = Pace() if known is None else replace(known)

    class PacedCLI(SSLMedCLI):
        def fit(self, model: LightningModule, datamodule: LightningDataModule, *_: Any, **__: Any) -> None:  # noqa: ANN401
            data = self.datamodule
            pace.updates, pace.validations = data.updates_per_validation * data.validations, data.validations
            if known is not None:
                return
            self.run.path.mkdir(parents=True)
            self.trainer.callbacks.append(Timer(pace, sizes))  # type: ignore[attr-defined]
            try:
                self.trainer.fit(model, datamodule=datamodule)
            except EnoughError:
                self.trainer.validate(model, datamodule=datamodule, verbose=False)

    # Training images are on the GPU. Workers for the rest would take longer to start than the section is to take.
    main(["fit", *arguments, "--data.num_workers", "0"], PacedCLI)
    return pace
