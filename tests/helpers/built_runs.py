"""Build the runs of a preset as `sslmed fit` would, on a store of empty images, without training them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning import LightningModule, Trainer

from sslmed.core.label_amount import LabelAmount
from sslmed.data.datamodule import StoreDataModule
from sslmed.experiments.plan import Grid, Places, Run, plan_runs
from sslmed.experiments.settings import Preset, preset_folder, read_experiment, read_preset
from sslmed.preparation.settings import VERSION
from sslmed.training.lightning_cli import SSLMedCLI, main

LABELS = {
    "fig2": ["background", "edema", "necrosis", "enhancing"],
    "fig3": ["background", "organ"],
    "fig4": list("01234"),
}
CHANNELS = {"fig2": 4, "fig3": 1, "fig4": 3}


@dataclass
class Built:
    """What a run is made of."""

    run: Run
    model: LightningModule
    data: StoreDataModule
    trainer: Trainer


class _BuiltError(Exception):
    pass


class _BuildOnly(SSLMedCLI):
    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        raise _BuiltError(self.model, self.datamodule, self.trainer)


def build_runs(figure: str, preset_name: str, arms: Sequence[str], folder: Path) -> Iterator[Built]:
    """Give one run of each kind, one at a time; a fine-tuning run of a pretrained arm is as the baseline's."""
    experiment, presets = read_experiment(figure), preset_folder(figure, preset_name)
    preset = read_preset(presets)
    _write_store(folder / "store", figure, preset, experiment.spatial_dims)
    grid = Grid(experiment, preset, presets, tuple(arms), labels=(LabelAmount(fraction=1.0),), folds=(0,), seeds=(0,))
    for run in plan_runs(grid, Places(folder / "work", folder / "store"), dataset="toy", wandb="disabled"):
        if run.needs is None:  # else the weights are not there
            with pytest.raises(_BuiltError) as built:
                main(["fit", *run.arguments], _BuildOnly)
            yield Built(run, *built.value.args)


def _write_store(root: Path, figure: str, preset: Preset, spatial_dims: int) -> None:
    """Write a store of empty images: only their size matters."""
    cases = [f"case_{number:02}" for number in range(20)]
    for number, case in enumerate(cases):
        (root / "cases" / case).mkdir(parents=True)
        np.save(root / "cases" / case / "image.npy", np.zeros((1,) * (spatial_dims + 1), np.float16))
        record = {"classes": [number % len(LABELS[figure])]}
        (root / "cases" / case / "case.json").write_text(json.dumps(record))
    content = {
        **{"version": VERSION, "name": figure, "spatial_dims": spatial_dims, "settings": asdict(preset.prepare)},
        **{"modalities": ["x"] * CHANNELS[figure], "labels": dict(enumerate(LABELS[figure]))},
        **{"labelled": cases, "unlabelled": [], "digests": {c: c for c in cases}, "groups": {c: c for c in cases}},
    }
    (root / "store.json").write_text(json.dumps(content))
