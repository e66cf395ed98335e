"""What the presets configure can be built, and takes images of the size that they prepare."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from families import PRESETS

from sslmed.experiments.plan import Grid, Places, plan_runs
from sslmed.experiments.settings import Preset, preset_folder, read_experiment, read_preset
from sslmed.preparation.settings import VERSION
from sslmed.pretext import PretextTask
from sslmed.training.lightning_cli import SSLMedCLI, main

LABELS = {
    "fig2": ["background", "edema", "necrosis", "enhancing"],
    "fig3": ["background", "organ"],
    "fig4": list("01234"),
}
CHANNELS = {"fig2": 4, "fig3": 1, "fig4": 3}


class _BuiltError(Exception):
    pass


class _BuildOnly(SSLMedCLI):
    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        raise _BuiltError(self.model, self.datamodule)


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


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", "-2d"])
@pytest.mark.parametrize(("figure", "preset_name"), PRESETS)
def test_every_network_takes_the_images_of_its_preset(
    figure: str, preset_name: str, suffix: str, tmp_path: Path
) -> None:
    experiment, folder = read_experiment(figure), preset_folder(figure, preset_name)
    if suffix and experiment.spatial_dims == 2:
        pytest.skip("photographs are 2-D by themselves")
    preset = read_preset(folder)
    _write_store(tmp_path, figure, preset, experiment.spatial_dims)
    arms = tuple(f"{arm}{suffix}" for arm in experiment.arms)
    grid = Grid(experiment, preset, folder, arms, fractions=(1.0,), folds=(0,), seeds=(0,))
    for run in plan_runs(grid, Places(tmp_path / "work", tmp_path), dataset="toy", wandb="disabled"):
        if run.fraction is not None and run.needs is not None:
            continue  # as the baseline, but for weights that are not there
        with pytest.raises(_BuiltError) as built:
            main(["fit", *run.arguments], _BuildOnly)
        model, data = built.value.args
        images = torch.zeros(2, data.in_channels, *[preset.prepare.size] * data.spatial_dims)
        inputs, _ = model.make_task(images) if isinstance(model, PretextTask) else (images, None)
        assert len(model.to("meta")(inputs.to("meta"))) == 2  # shapes only, at no cost


def test_overlays_come_from_the_preset_that_is_shared(tmp_path: Path) -> None:
    experiment, preset = read_experiment("fig2"), read_preset(preset_folder("fig2", "quick"))
    (tmp_path / "finetune.yaml").write_text("data: {}")
    grid = Grid(experiment, replace(preset, shares="fig3/quick"), tmp_path, ("baseline",), (1.0,), (0,), (0,))
    assert grid.overlay("finetune.yaml") == [tmp_path / "finetune.yaml"]
    assert grid.overlay("encoder.yaml") == [preset_folder("fig3", "quick") / "encoder.yaml"]
    assert grid.overlay("sudoku.yaml") == []
