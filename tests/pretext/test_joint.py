import math

import numpy as np
import pytest
import torch

from sslmed.core.errors import InputError
from sslmed.encoders import UNetEncoder
from sslmed.pretext import Joint, MaskedAutoencoder, RelativePatchLocation, Rotation
from sslmed.pretext.joint import weigh_by_uncertainty


def _encoder() -> UNetEncoder:
    torch.manual_seed(0)
    return UNetEncoder(2, 1, widths=(2, 4), dropout=0.0)


def test_weights_by_uncertainty_by_hand():
    losses, sigmas = np.array([0.3, 2.0, 4.0]), np.array([0.5, 1.0, 3.0])
    expected = sum(loss / sigma**2 + math.log(sigma) for loss, sigma in zip(losses, sigmas, strict=True))
    got = weigh_by_uncertainty(torch.from_numpy(losses), torch.from_numpy(np.log(sigmas**2)))
    assert got.item() == pytest.approx(expected)


def test_uncertainties_that_are_learned_are_those_that_cost_least():
    task = Joint(_encoder(), weighting="uncertainty")
    assert task.log_variances is not None
    losses = torch.tensor([0.3, 2.0])
    optimizer = torch.optim.Adam([task.log_variances], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        weigh_by_uncertainty(losses, task.log_variances).backward()
        optimizer.step()
    torch.testing.assert_close(task.log_variances.exp(), 2 * losses, rtol=1e-2, atol=0)  # loss / σ² + log σ is least


def test_one_encoder_several_heads_and_losses_relative_to_chance():
    task = Joint(_encoder(), [Rotation, RelativePatchLocation, MaskedAutoencoder], weights=[1, 2, 5])
    assert all(each.encoder is task.encoder for each in task.tasks)
    inputs, targets = task.make_task(torch.rand(3, 1, 24, 24))
    assert [each.shape[1:] for each in inputs] == [(1, 24, 24), (2, 1, 7, 7), (1, 24, 24)]
    outputs = task(inputs)
    pairs = [*zip(task.tasks, outputs, targets, strict=True)]
    ratios = [each.loss(o, t).item() / each.chance_loss(o, t).item() for each, o, t in pairs]
    assert task.loss(outputs, targets).item() == pytest.approx(np.dot(ratios, [1, 2, 5]) / 8, rel=1e-5)
    assert task.chance_loss(outputs, targets).item() == pytest.approx(1, rel=1e-5)
    measured = task.measures(outputs, targets)
    assert measured["Rotation_chance_loss"].item() == pytest.approx(math.log(4))
    assert measured["RelativePatchLocation_loss"].item() == pytest.approx(pairs[1][0].loss(*pairs[1][1:]).item())
    assert {"Rotation_accuracy", "MaskedAutoencoder_chance_loss"} <= measured.keys()
    answer = task.answers(tuple(each.detach() for each in outputs), targets)[0]
    assert "answered" in answer.words
    assert "restored" in answer.words


def test_validation_is_by_fixed_weights_whatever_the_training():
    fixed, learned = (Joint(_encoder(), weighting=weighting) for weighting in ("fixed", "uncertainty"))
    learned.load_state_dict(fixed.state_dict() | {"log_variances": torch.tensor([1.0, -2.0])})
    images = torch.rand(3, 1, 16, 16)
    inputs, targets = fixed.make_task(images)
    losses = [each.eval().loss(each(inputs), targets).item() for each in (fixed, learned)]
    assert losses[0] == losses[1]
    outputs = learned.train()(inputs)
    expected = weigh_by_uncertainty(learned.losses(outputs, targets), torch.tensor([1.0, -2.0]))
    assert learned.loss(outputs, targets).item() == pytest.approx(expected.item())


def test_a_decoder_is_handed_over_and_stored_once():
    task = Joint(_encoder(), [Rotation, MaskedAutoencoder, MaskedAutoencoder])
    assert task.decoder is task.tasks[1].decoder
    assert task.names == ["Rotation", "MaskedAutoencoder", "MaskedAutoencoder_2"]
    numbers = {id(each) for each in task.parameters()}
    assert len(numbers) == len([*task.parameters()])
    assert not hasattr(Joint(_encoder(), [Rotation]), "decoder")


@pytest.mark.parametrize(
    "arguments", [{"tasks": []}, {"weights": [1.0]}, {"weights": [1.0, 0.0]}, {"weighting": "guess"}]
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=r"Joint needs|weighting must"):
        Joint(_encoder(), **arguments)
