"""Probes and measures of collapse, against numpy and MONAI, and on features whose answer is known."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.metrics.embedding_collapse import compute_embedding_collapse

from sslmed.evaluation.features import effective_rank, spread
from sslmed.evaluation.learned import collapse, warnings
from sslmed.evaluation.probes import (
    LinearMap,
    features_at,
    linear_accuracy,
    neighbours_accuracy,
    regression_r2,
    ridge,
    segment,
)


def test_spread_and_effective_rank_by_hand_and_by_monai():
    features = np.random.default_rng(0).normal(3, [1, 2, 0.1, 1, 1], size=(30, 5))
    tensor = torch.from_numpy(features)
    assert spread(tensor) == pytest.approx(math.sqrt(features.var(0).sum() / (features**2).mean(0).sum()))
    values = np.linalg.svd(features - features.mean(0), compute_uv=False)
    fractions = values / values.sum()
    assert effective_rank(tensor) == pytest.approx(np.exp(-(fractions * np.log(fractions)).sum()))
    monai = compute_embedding_collapse(tensor, include_indicators=["effective_rank"])["effective_rank_score"]
    assert monai is not None
    assert effective_rank(tensor) == pytest.approx(5 * (1 - monai.item()), rel=1e-5)


@pytest.mark.parametrize(
    ("features", "is_collapsed"),
    [
        (torch.zeros(9, 4), True),
        (torch.ones(9, 4) + 1e-4 * torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), True),
        (torch.outer(torch.arange(9.0), torch.tensor([1.0, 2.0, 0.0, -1.0])), True),  # a line
        (torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), False),
        (5 + torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), False),
    ],
    ids=["zero", "equal", "line", "normal", "mean"],
)
def test_features_have_collapsed_if_they_are_equal_or_on_a_line(features, is_collapsed):
    row = {"features/spread": spread(features), "features/rank": effective_rank(features)}
    assert bool(collapse(row)) == is_collapsed
    said = warnings({"val/loss": 0.5, "val/chance_loss": 1.0, **row})
    assert len(said) == is_collapsed
    assert "not learned: the validation loss, 0.99" in warnings({"val/loss": 0.99, "val/chance_loss": 1.0, **row})[0]


def test_ridge_is_the_normal_equation_whatever_the_scale_of_a_feature():
    generator = np.random.default_rng(0)
    features, targets = generator.normal(2, 3, (40, 4)), generator.normal(size=(40, 2))
    weights = generator.uniform(size=40)
    fitted = ridge(*map(torch.from_numpy, (features, targets, weights)))
    share = weights[:, None] / weights.sum()
    mean, middle = (share * features).sum(0), (share * targets).sum(0)
    scaled = (features - mean) / np.sqrt((share * (features - mean) ** 2).sum(0))
    solved = np.linalg.solve(scaled.T @ (share * scaled) + 0.1 * np.eye(4), scaled.T @ (share * (targets - middle)))
    got = features @ fitted.weight.numpy() + fitted.bias.numpy()
    np.testing.assert_allclose(got, scaled @ solved + middle, atol=1e-4)
    larger = features * [1, 1000, 1, 0.001]
    again = ridge(*map(torch.from_numpy, (larger, targets, weights)))
    np.testing.assert_allclose(larger @ again.weight.numpy() + again.bias.numpy(), got, atol=1e-2)


def test_values_and_classes_are_read_where_features_hold_them_and_not_from_noise():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 6, generator=generator)
    classes = (features[:, 0] > 1).long()  # rare
    values = 5 + features @ torch.tensor([1.0, -2.0, 0, 0, 0, 0])
    train, new = slice(0, 200), slice(200, 300)
    noise = torch.randn(300, 6, generator=generator)
    assert regression_r2(features[train], values[train], features[new], values[new]) > 0.99
    assert regression_r2(noise[train], values[train], noise[new], values[new]) == pytest.approx(0, abs=0.1)
    for score in (linear_accuracy, neighbours_accuracy):
        assert score(features[train], classes[train], features[new], classes[new], 2) > 0.7
        assert score(noise[train], classes[train], noise[new], classes[new], 2) == pytest.approx(0.5, abs=0.15)
    assert (
        neighbours_accuracy(features[:3], classes[:3], features[:3], classes[:3], 2) <= 1
    )  # fewer cases than neighbours


@pytest.mark.parametrize("score", [linear_accuracy, neighbours_accuracy])
def test_a_class_that_no_new_case_has_does_not_count(score):
    """By hand: of class 0 both are recognised, of class 1 one of two; the other is taken for 2, which none has."""
    train = 10 * torch.eye(4)[:3].repeat_interleave(5, 0)
    classes = torch.arange(3).repeat_interleave(5)
    new = 10 * torch.eye(4)[torch.tensor([0, 0, 1, 2])]
    assert score(train, classes, new, torch.tensor([0, 0, 1, 1]), 3) == pytest.approx(0.75)


@pytest.mark.parametrize("sides", [(9, 12), (7, 8, 10)])
def test_the_segmentation_probe_is_one_layer_on_interpolated_maps(sides):
    generator = torch.Generator().manual_seed(0)
    mode = "bilinear" if len(sides) == 2 else "trilinear"
    maps = [torch.randn(2, 3, *[side // step for side in sides], generator=generator) for step in (1, 2, 4)]
    large = torch.cat([F.interpolate(each, sides, mode=mode) for each in maps], dim=1)
    voxels = torch.stack([torch.randint(side, (20,), generator=generator) for side in sides], dim=1)
    got = features_at([each[1:] for each in maps], voxels, sides)
    torch.testing.assert_close(got, large[1][(slice(None), *voxels.T)].T, atol=1e-5, rtol=1e-4)
    fitted = LinearMap(torch.randn(9, 4, generator=generator), torch.randn(4, generator=generator))
    expected = (torch.einsum("bf...,fk->b...k", large, fitted.weight) + fitted.bias).argmax(-1)
    assert (segment(maps, fitted, sides) == expected).float().mean() > 0.999
