"""What the presets configure can be built, and takes images of the size that they prepare."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sslmed.experiments.plan import Grid, Places, plan_runs
from sslmed.experiments.settings import preset_folder, read_experiment, read_preset
from sslmed.preparation.settings import VERSION
from sslmed.pretext import PretextTask
from sslmed.training.lightning_cli import SSLMedCLI, main

SIZES = ("quick", "sound")
CLASSES = {
    "fig2": ["background", "edema", "necrosis", "enhancing"],
    "fig3": ["background", "organ"],
    "fig4": list("01234"),
    "segmentation": ["background", "organ"],
    "classification": ["ill", "well"],
    "regression": [],
}
OWN_DATA = ("segmentation", "classification", "regression")
PRESETS = [
    *(
        (figure, preset, dims)
        for figure, dims in (("fig2", 3), ("fig3", 3), ("fig4", 2))
        for preset in (*SIZES, "paper")
    ),
    *((figure, preset, dims) for figure in OWN_DATA for preset in SIZES for dims in (2, 3)),
]


class _BuiltError(Exception):
    pass


class _BuildOnly(SSLMedCLI):
    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        raise _BuiltError(self.model, self.datamodule)


def _write_store(root: Path, grid: Grid, spatial_dims: int) -> None:
    """Write a store of empty images: only their size matters."""
    figure, labels = grid.experiment.figure, grid.experiment.labels
    classes = CLASSES[figure]
    channels = {"fig2": 4}.get(figure, 1 if spatial_dims == 3 else 3)
    cases = [f"case_{number:02}" for number in range(20)]
    for number, case in enumerate(cases):
        (root / "cases" / case).mkdir(parents=True)
        np.save(root / "cases" / case / "image.npy", np.zeros((1,) * (spatial_dims + 1), np.float16))
        record = {"classes": [number % len(classes)] if classes else [], "value": number}
        (root / "cases" / case / "case.json").write_text(json.dumps(record))
    content = {
        **{"version": VERSION, "name": figure, "spatial_dims": spatial_dims},
        **{"settings": asdict(grid.prepare_settings(spatial_dims)), "modalities": ["x"] * channels},
        **{"labels": labels, "label_names": dict(enumerate(classes)), "codes": list(range(len(classes)))},
        **{"labelled": cases, "unlabelled": [], "digests": {c: c for c in cases}, "groups": {c: c for c in cases}},
    }
    (root / "store.json").write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", "-2d"])
@pytest.mark.parametrize(("figure", "preset_name", "dims"), PRESETS)
def test_every_network_takes_the_images_of_its_preset(
    figure: str, preset_name: str, dims: int, suffix: str, tmp_path: Path
) -> None:
    experiment, folder = read_experiment(figure), preset_folder(figure, preset_name)
    if suffix and (dims == 2 or experiment.labels != "map"):
        pytest.skip("only volumes with label maps have slices")
    arms = tuple(f"{arm}{suffix}" for arm in experiment.arms)
    grid = Grid(experiment, read_preset(folder), folder, arms, fractions=(1.0,), folds=(0,), seeds=(0,))
    _write_store(tmp_path, grid, dims)
    places = Places(tmp_path / "work", tmp_path, spatial_dims=dims)
    for run in plan_runs(grid, places, dataset="toy", wandb="disabled"):
        if run.fraction is not None and run.needs is not None:
            continue  # as the baseline, but for weights that are not there
        with pytest.raises(_BuiltError) as built:
            main(["fit", *run.arguments], _BuildOnly)
        model, data = built.value.args
        images = torch.zeros(2, data.in_channels, *[grid.prepare_settings(dims).size] * data.spatial_dims)
        inputs, _ = model.make_task(images) if isinstance(model, PretextTask) else (images, None)
        assert len(model.to("meta")(inputs.to("meta"))) == 2  # shapes only, at no cost


def test_overlays_come_from_the_preset_that_is_shared(tmp_path: Path) -> None:
    experiment, preset = read_experiment("fig2"), read_preset(preset_folder("fig2", "quick"))
    (tmp_path / "finetune.yaml").write_text("data: {}")
    grid = Grid(experiment, replace(preset, shares="fig3/quick"), tmp_path, ("baseline",), (1.0,), (0,), (0,))
    assert grid.overlay("finetune.yaml") == [tmp_path / "finetune.yaml"]
    assert grid.overlay("encoder.yaml") == [preset_folder("fig3", "quick") / "encoder.yaml"]
    assert grid.overlay("sudoku.yaml") == []
