"""Build the runs of a preset as `sslmed fit` would, on a store of empty images, without training them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from grids import grid_of, plan
from pytorch_lightning import LightningModule, Trainer

from sslmed.data.datamodule import StoreDataModule
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.preset import preset_folder
from sslmed.experiments.runs import Run
from sslmed.preparation.settings import VERSION
from sslmed.training.lightning_cli import SSLMedCLI, main

CLASSES = {
    "fig2": ["background", "edema", "necrosis", "enhancing"],
    "fig3": ["background", "organ"],
    "fig4": list("01234"),
    "segmentation": ["background", "organ"],
    "classification": ["ill", "well"],
    "regression": [],
}


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


def build_runs(
    figure: str, preset_name: str, arms: Sequence[str], folder: Path, *, spatial_dims: int = 3
) -> Iterator[Built]:
    """Give one run of each kind, one at a time; a fine-tuning run of a pretrained arm is as the baseline's."""
    grid = grid_of(*arms, figure=figure, preset=preset_folder(figure, preset_name))
    _write_store(folder / "store", grid, spatial_dims)
    places = Places(folder / "work", folder / "store", spatial_dims=spatial_dims)
    for run in plan(grid, places):
        if run.needs is None:  # else the weights are not there
            with pytest.raises(_BuiltError) as built:
                main(["fit", *run.arguments], _BuildOnly)
            yield Built(run, *built.value.args)


def _write_store(root: Path, grid: Grid, spatial_dims: int) -> None:
    """Write a store of empty images: only their size matters."""
    figure = grid.experiment.figure
    classes = CLASSES[figure]
    channels = 4 if figure == "fig2" else {2: 3, 3: 1}[spatial_dims]
    cases = [f"case_{number:02}" for number in range(20)]
    records = {}
    for number, case in enumerate(cases):
        (root / "cases" / case).mkdir(parents=True)
        np.save(root / "cases" / case / "image.npy", np.zeros((1,) * (spatial_dims + 1), np.float16))
        classes_there = [number % len(classes)] if classes else []
        records[case] = {"classes": classes_there, "value": number, "digest": case, "hashes": [case], "label": ""}
    content = {
        **{"version": VERSION, "name": figure, "spatial_dims": spatial_dims, "modalities": ["x"] * channels},
        **{"settings": asdict(grid.prepare_settings(spatial_dims)), "labels": grid.experiment.label_kind},
        **{"label_names": dict(enumerate(classes)), "codes": list(range(len(classes)))},
        **{"labelled": cases, "unlabelled": [], "records": records, "groups": {c: c for c in cases}},
        **{"left_out": {}, "problems": [], "sources": {}},
    }
    (root / "store.json").write_text(json.dumps(content))
