"""What the presets configure can be built, and takes images of the size that they prepare."""

from operator import attrgetter
from pathlib import Path

import pytest
import torch
from built_runs import build_runs
from families import PRESETS_BY_DIMS
from torch.utils._pytree import tree_leaves, tree_map

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.check import parse
from sslmed.experiments.experiment import read_experiment
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.plan import plan_runs
from sslmed.experiments.preset import preset_folder, read_preset
from sslmed.pretext import PretextTask

PAPER = [("fig3", "quick", 3), ("fig4", "quick", 2)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", pytest.param("-2d", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("figure", "preset_name", "dims"),
    [each if each in PAPER else pytest.param(*each, marks=pytest.mark.long) for each in PRESETS_BY_DIMS],
)
def test_every_network_takes_the_images_of_its_preset(
    figure: str, preset_name: str, dims: int, suffix: str, tmp_path: Path
) -> None:
    experiment = read_experiment(figure)
    if suffix and (dims == 2 or experiment.task != "segmentation"):
        pytest.skip("only volumes with label maps have slices")
    arms = [f"{arm}{suffix}" for arm in experiment.arms]
    for built in build_runs(figure, preset_name, arms, tmp_path, spatial_dims=dims):
        model, data = built.model, built.data
        images = torch.zeros(2, data.in_channels, *[data.store.settings.size] * data.spatial_dims)
        inputs, _ = model.make_task(images) if isinstance(model, PretextTask) else (images, None)
        outputs = model.to("meta")(tree_map(lambda each: each.to("meta"), inputs))  # shapes only, at no cost
        assert all(len(each) == 2 for each in tree_leaves(outputs))


@pytest.mark.parametrize(
    ("figure", "dims", "told"),
    [
        ("fig2", 3, {"label_values": "label_values", "regions": "region_classes"}),
        ("classification", 2, {"num_classes": "num_classes"}),
        ("regression", 2, {"target_mean": "target_mean", "target_scale": "target_scale"}),
    ],
)
def test_a_network_is_told_by_the_data_what_it_must_know(
    figure: str, dims: int, told: dict[str, str], tmp_path: Path
) -> None:
    (built,) = build_runs(figure, "quick", ["baseline"], tmp_path, spatial_dims=dims)
    model, data = built.model, built.data
    told = told | {"encoder.in_channels": "in_channels", "encoder.spatial_dims": "spatial_dims"}
    for argument, source in told.items():
        found, expected = attrgetter(argument)(model), attrgetter(source)(data)
        assert found.item() == pytest.approx(expected) if torch.is_tensor(found) else found == expected


@pytest.mark.parametrize("arm", ["jigsaw", "rpl", "jigsaw-2d", "rpl-2d"])
def test_quick_patches_are_2_voxels_smaller_than_their_cells(arm: str, tmp_path: Path) -> None:
    (built,) = build_runs("fig3", "quick", [arm], tmp_path)
    model, dims = built.model, built.data.spatial_dims
    patches, _ = model.make_task(torch.rand(2, 1, *[24] * dims))
    assert patches.shape[3:] == (8 - 2,) * dims
    assert len(model(patches)) == 2


def test_a_file_of_a_preset_changes_what_it_says_of_the_preset_that_is_shared_and_nothing_else(tmp_path: Path) -> None:
    experiment, preset = read_experiment("segmentation"), read_preset(preset_folder("segmentation", "quick"))
    (tmp_path / "finetune.yaml").write_text("data: {init_args: {updates: 7}}")
    grid = Grid(experiment, preset, tmp_path, ("baseline",), (LabelAmount(fraction=1.0),), (0,), (0,))
    places = Places(work=tmp_path, store=tmp_path)
    (run,) = plan_runs(grid, places, dataset="mine", wandb="disabled")
    settings = parse(run.arguments)
    assert (settings.data.init_args.updates, settings.data.init_args.validations) == (7, 5)
    assert settings.model.init_args.optimization.optimizer.init_args.lr == 0.01
    assert grid.overlay("sudoku.yaml") == []
