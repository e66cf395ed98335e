"""The runs of the `paper` presets are what the comments in their YAML files say."""

import numpy as np
import pytest
import torch
from built_runs import Built, build_runs
from grids import grid_of, plan

from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.encoders import DenseNetEncoder
from sslmed.experiments.check import parse
from sslmed.experiments.places import Places
from sslmed.experiments.preset import preset_folder, read_preset
from sslmed.learning.clipping import ClipEachGradient
from sslmed.training.own_modules import config_files

ARMS = {
    "fig2": ("baseline", "jigsaw", "cpc", "baseline-2d"),
    "fig3": ("baseline", "jigsaw", "cpc", "baseline-2d", "jigsaw-2d"),
    "fig4": ("baseline", "jigsaw", "cpc"),
}
VOLUMES = ["fig2", "fig3"]
pytestmark = pytest.mark.slow  # the networks are large


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Built]]:
    """Of each figure, the runs by their arm: fine-tuning for baselines, pretraining for tasks."""
    return {
        figure: {each.run.arm: each for each in build_runs(figure, "paper", arms, tmp_path_factory.mktemp(figure))}
        for figure, arms in ARMS.items()
    }


@pytest.mark.parametrize("figure", ARMS)
def test_batch_norms_are_those_of_keras(built, figure):
    for each in built[figure].values():
        for part in each.model.children():
            norms = [module for module in part.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
            eps = 1e-5 if isinstance(part, DenseNetEncoder) else 1e-3  # Keras' DenseNet has 1.001e-5
            assert all((norm.momentum, norm.eps) == (0.01, eps) for norm in norms)
        assert any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in each.model.modules())


@pytest.mark.parametrize("figure", ARMS)
def test_half_of_the_activations_are_dropped_in_u_nets_and_dense_layers(built, figure):
    for each in built[figure].values():
        parts = {name: part for name, part in each.model.named_children() if not isinstance(part, DenseNetEncoder)}
        found = {
            name: {module.p for module in part.modules() if isinstance(module, torch.nn.modules.dropout._DropoutNd)}
            for name, part in parts.items()
        }
        expected = {"encoder", "decoder"} | ({"head"} if each.run.arm.startswith(("jigsaw", "baseline")) else set())
        assert all(found[name] == ({0.5} if name in expected else set()) for name in found)


@pytest.mark.parametrize("figure", VOLUMES)
@pytest.mark.parametrize("arm", ["baseline", "baseline-2d"])
def test_the_loss_is_the_published_soft_dice_by_hand(built, figure, arm):
    model = built[figure][arm].model
    classes, dims = len(model.label_values), model.encoder.spatial_dims
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, classes, *[4] * dims))
    labels = generator.integers(0, classes - 1, size=(3, *[4] * dims))  # the last class is absent
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    dice = []
    for k in range(classes):  # over the voxels of the whole batch, background included
        truth, predicted, smooth = labels == k, probabilities[:, k], 1e-5
        overlap = (truth * predicted).sum()
        dice.append(2 * (overlap + smooth / 2) / (truth.sum() + predicted.sum() + smooth))
    loss = model.segmentation_loss(torch.tensor(logits), torch.tensor(labels)[:, None])
    assert loss.item() == pytest.approx(1 - np.mean(dice))


def test_gradients_are_clipped_in_fine_tuning_of_figure_3_in_3d_only(built):
    clipping = {
        (figure, arm): [
            callback.max_norm for callback in run.trainer.callbacks if isinstance(callback, ClipEachGradient)
        ]
        for figure, runs in built.items()
        for arm, run in runs.items()
    }
    assert clipping.pop(("fig3", "baseline")) == [1.0]
    assert not any(clipping.values())
    assert all(run.trainer.gradient_clip_val is None for runs in built.values() for run in runs.values())


@pytest.mark.parametrize("figure", VOLUMES)
def test_the_coarsest_map_of_8_voxels_a_side_is_pooled_once_more(built, figure):
    for arm in ("baseline", "baseline-2d"):
        model = built[figure][arm].model
        side = read_preset(preset_folder(figure, "paper")).prepare.size // model.encoder.reduction
        assert side == 8
        assert model.decoder.extra_pool(torch.zeros(1, 1, *[side] * model.encoder.spatial_dims)).shape[-1] == 4


@pytest.mark.parametrize("figure", ARMS)
def test_jigsaw_is_validated_on_the_middle_of_cells(built, figure):
    runs = [run for arm, run in built[figure].items() if arm.startswith("jigsaw")]
    assert runs
    assert all(run.model.centred_validation for run in runs)
    for run in runs:
        pairs = run.model.permutations[:, None] != run.model.permutations
        distances = pairs.sum(-1) + torch.eye(len(pairs), dtype=torch.long) * 99
        assert distances.min() == (24 if run.data.spatial_dims == 3 else 6)


@pytest.mark.parametrize("figure", ARMS)
def test_cpc_has_the_binary_loss(built, figure):
    assert built[figure]["cpc"].model.objective == "bce"


@pytest.mark.parametrize(("figure", "epochs", "frozen"), [("fig2", 150, 20), ("fig3", 400, 25), ("fig4", 20, 3)])
def test_epochs_and_checkpoints(built, figure, epochs, frozen):
    run = built[figure]["baseline"]
    settings = parse(run.run.arguments)
    assert (run.data.epochs, built[figure]["cpc"].data.epochs) == (epochs, 1000)
    assert run.model.pretrained.frozen_fraction * epochs == pytest.approx(frozen, abs=0.01)
    assert not run.model.can_freeze  # nothing random is ever frozen
    assert settings.select == "best"
    assert read_preset(preset_folder(figure, "paper")).handover == "best"


PUBLISHED = {
    "fig2": ({"rotation": 4, "jigsaw": 8, "rpl": 32, "exemplar": 2, "cpc": 2}, 1e-4),
    "fig3": ({"rotation": 4, "jigsaw": 8, "rpl": 32, "exemplar": 2, "cpc": 2}, 1e-4),
    "fig4": ({"rotation": 32, "jigsaw": 32, "rpl": 32, "exemplar": 16, "cpc": 6}, 1e-5),
    "fig4-external": ({"rotation": 64, "jigsaw": 64, "rpl": 128, "exemplar": 16, "cpc": 6}, 1e-5),
    "fig2-2d": ({"rotation": 64, "jigsaw": 64, "rpl": 64, "exemplar": 64, "cpc": 26}, 1e-5),
    "fig3-2d": ({"rotation": 64, "jigsaw": 64, "rpl": 64, "exemplar": 64, "cpc": 26}, 1e-5),
}
"""Batch sizes and learning rates of the authors' configurations. For CPC, images: they count columns of patches."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_batches_and_learning_rates_are_the_published_ones_and_others_are_like_them(name, tmp_path):
    figure, _, variant = name.partition("-")
    batch_sizes, rate = PUBLISHED[name]
    if variant == "2d":
        batch_sizes = batch_sizes | {"mae": 64, "simclr": 64, "vicreg": 64}
    arms = [f"{arm}-{variant}" if variant else arm for arm in batch_sizes]
    grid = grid_of(*arms, figure=figure, preset=preset_folder(figure, "paper"))
    places = Places(tmp_path, tmp_path, pool=tmp_path, spatial_dims=2 if figure == "fig4" else 3)
    pretraining = [run for run in plan(grid, places) if run.needs is None]
    for run, batch_size in zip(pretraining, batch_sizes.values(), strict=True):
        contents = [read_yaml(path) for path in config_files(run.arguments)]
        assert find_setting(contents, "data.batch_size", None) == batch_size, run.arm
        own = {"cpc": 1e-3} if name == "fig2" else {}
        assert find_setting(contents, "model.optimization.optimizer.lr", None) == own.get(run.arm, rate), run.arm
