"""Every option of every pretext task has an effect, and those that are numbers have limits."""

import inspect
from functools import cache
from typing import Any, get_type_hints

import families
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser

from sslmed.core.errors import InputError
from sslmed.encoders import UNetEncoder
from sslmed.encoders.heads import Head, linear_head
from sslmed.learning.augmentation import RandomAffine, RandomIntensity
from sslmed.pretext import Rotation, SimCLR
from sslmed.pretext.views import RandomViews

ALWAYS = RandomAffine(flip=1.0, quarter_turns=0.0, rotation=0.0, zoom=0.0)
BRIGHT = RandomIntensity(probability=1.0, brightness=0.3, contrast=(0.5, 0.6))
SMALL_CROPS = RandomViews(crop=(0.3, 0.4))
OTHER: dict[str, dict[str, Any]] = {
    "CPC": {
        "grid": 4,
        "overlap": False,
        "context_rows": 1,
        "skip_rows": 0,
        "image_fraction": 0.6,
        "patch_fraction": 0.5,
        "flip": 0.0,
        "embedding_size": 8,
        "context_size": 8,
        "objective": "bce",
        "temperature": 0.5,
        "head": Head,
    },
    "DINO": {
        "views": SMALL_CROPS,
        "local_views": RandomViews(crop=(0.8, 0.9)),
        "n_local": 1,
        "prototypes": 8,
        "embedding_size": 8,
        "temperature": 0.5,
        "teacher_temperature": 0.5,
        "momentum": 0.1,
        "centre_momentum": 0.1,
        "head": linear_head,
    },
    "Exemplar": {"embedding_size": 8, "margin": 0.1, "affine": ALWAYS, "intensity": BRIGHT, "head": Head},
    "Jigsaw": {
        "num_permutations": 5,
        "jitter": 0,
        "permutation_seed": 1,
        "centred_validation": True,
        "head": linear_head,
    },
    "Joint": {"tasks": (Rotation, SimCLR), "weighting": "uncertainty", "weights": (1.0, 3.0)},
    "MaskedAutoencoder": {"ratio": 0.4, "block": 3, "skips": False, "normalise": "block", "sparse": True},
    "ModelsGenesis": {"nonlinear": 0.1, "shuffle": 0.1, "shuffled_fraction": 0.1, "painting": 0.1, "inpainting": 0.9},
    "MultiLevel": {"task": Rotation, "levels": 1},
    "RelativePatchLocation": {"jitter": 0, "head": linear_head},
    "Rotation": {"affine": ALWAYS, "head": linear_head},
    "SimCLR": {"views": SMALL_CROPS, "embedding_size": 8, "temperature": 0.1, "head": linear_head},
    "VICReg": {
        "views": SMALL_CROPS,
        "embedding_size": 8,
        "invariance": 1.0,
        "variance": 1.0,
        "covariance": 25.0,
        "head": linear_head,
    },
    "VoCo": {
        "grid": 3,
        "crops": 3,
        "flip": 0.9,
        "intensity": BRIGHT,
        "embedding_size": 20,
        "momentum": 0.1,
        "regularization": 0.1,
        "head": linear_head,
    },
}


def test_every_option_has_another_value_here():
    for name, task in families.TASKS.items():
        options = {*inspect.signature(task).parameters} - {"encoder", "optimization"}
        assert OTHER[name].keys() == options, name


def _losses(name: str, **options: Any) -> list[float]:
    """Return the losses of an update, of validation, and of another update."""
    torch.manual_seed(0)
    task = families.TASKS[name](UNetEncoder(2, 1, widths=(2, 4, 4), dropout=0.0), **options)
    images = torch.rand(12, 1, 36, 36, generator=torch.Generator().manual_seed(1)) ** 2
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    losses = []
    for training in (True, False, True):
        torch.manual_seed(2)
        inputs, targets = task.train(training).make_task(images, torch.Generator().manual_seed(3))
        loss = task.loss(task(inputs), targets)
        losses.append(loss.item())
        if training:
            loss.backward()
            optimizer.step()
    return losses


@cache
def _default_losses(name: str) -> list[float]:
    return _losses(name)


@pytest.mark.parametrize("name", families.TASKS)
def test_nothing_else_changes_it(name):
    assert _losses(name) == _default_losses(name)


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in OTHER for option in OTHER[name]])
def test_an_option_changes_what_is_learned(name, option):
    assert _losses(name, **{option: OTHER[name][option]}) != _default_losses(name)


DATACLASSES = {type(each): vars(each) for each in (ALWAYS, BRIGHT, SMALL_CROPS)}
NUMBERS = [
    (kind, option)
    for kind, options in ({families.TASKS[name]: OTHER[name] for name in OTHER} | DATACLASSES).items()
    for option, value in options.items()
    if type(value) in (int, float)
]


@pytest.mark.parametrize(("kind", "option"), NUMBERS, ids=lambda each: getattr(each, "__name__", each))
def test_no_number_may_be_negative(kind, option):
    def build() -> object:
        given = {option: parser.parse_args(["--number=-1"]).number}
        return kind(**given) if kind in DATACLASSES else kind(UNetEncoder(2, 1, widths=(2, 4)), **given)

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--number", type=get_type_hints(kind.__init__)[option])
    with pytest.raises((ArgumentError, InputError)):
        build()
