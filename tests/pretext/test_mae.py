import numpy as np
import pytest
import torch

from sslmed.core.errors import InputError
from sslmed.encoders import UNetEncoder
from sslmed.pretext import Joint, MaskedAutoencoder, mae
from sslmed.pretext.mae import masked_error, random_blocks, standardise

CPU = torch.device("cpu")
SIDES = [(12, 18), (9, 11), (8, 12, 6), (7, 8, 9)]


def _encoder(dims: int, channels: int = 1) -> UNetEncoder:
    torch.manual_seed(0)
    return UNetEncoder(dims, channels, widths=(2, 4, 4), dropout=0.0)


@pytest.mark.parametrize("sides", SIDES)
def test_whole_blocks_are_hidden_as_many_in_every_image(sides):
    hidden = random_blocks(50, sides, 3, 0.7, CPU, torch.Generator().manual_seed(0)).numpy()[:, 0]
    assert hidden.shape == (50, *sides)
    first = hidden[(slice(None), *[slice(None, None, 3)] * len(sides))]
    number = np.stack([axis // 3 for axis in np.indices(sides)])
    np.testing.assert_array_equal(hidden, first[(slice(None), *number)])
    assert set(first.reshape(50, -1).sum(1)) == {round(0.7 * first[0].size)}
    assert (first.any(0) & ~first.all(0)).all()  # each block is hidden in some images, and visible in others


def test_a_block_is_a_voxel_of_the_coarsest_map_unless_said():
    assert MaskedAutoencoder(_encoder(2)).block == 4
    assert MaskedAutoencoder(_encoder(2), block=3).block == 3


@pytest.mark.parametrize("ratio", [1e-6, 1 - 1e-6])
def test_something_is_hidden_and_something_visible(ratio):
    hidden = random_blocks(5, (4, 8), 4, ratio, CPU)
    assert (hidden.flatten(1).float().mean(1) == 0.5).all()
    with pytest.raises(InputError, match="a single block of 8"):
        random_blocks(5, (8, 8), 8, 0.5, CPU)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dims", [2, 3])
def test_inputs_are_zero_where_hidden_and_unchanged_elsewhere(dims, channels):
    task = MaskedAutoencoder(_encoder(dims, channels), ratio=0.6)
    images = 1 + torch.rand(3, channels, *(12,) * dims)
    inputs, (targets, hidden, *_) = task.make_task(images)
    expected = images.numpy() * ~hidden.numpy()
    np.testing.assert_array_equal(inputs, expected)
    assert torch.equal(targets, standardise(images)[0])
    assert hidden.float().mean().item() == pytest.approx(0.6, abs=0.5 / 3**dims)


@pytest.mark.parametrize("sides", SIDES)
def test_targets_are_standardised_by_image_or_by_block(sides):
    images = torch.rand(2, 3, *sides)
    for block in (None, 3):
        scaled, mean, scale = (each.double().numpy() for each in standardise(images, block))
        step = max(sides) if block is None else block
        corners = np.stack(np.meshgrid(*[range(0, side, step) for side in sides]), -1).reshape(-1, len(sides))
        for corner in corners:
            of_block = (..., *[slice(start, start + step) for start in corner])
            values = images.numpy()[of_block].reshape(2, 3, -1)
            middle = values.mean(2, keepdims=True)
            expected = (values - middle) / np.sqrt(((values - middle) ** 2).mean(2, keepdims=True) + 1e-6)
            np.testing.assert_allclose(scaled[of_block].reshape(values.shape), expected, atol=1e-4)
        np.testing.assert_allclose(scaled * scale + mean, images, atol=1e-6)


def test_the_error_by_hand_is_that_of_hidden_voxels():
    generator = np.random.default_rng(0)
    outputs, images = generator.normal(size=(2, 3, 2, 5, 6))
    hidden = generator.random((3, 1, 5, 6)) < 0.7
    squares = [
        (outputs[case, channel][hidden[case, 0]] - images[case, channel][hidden[case, 0]]) ** 2
        for case in range(3)
        for channel in range(2)
    ]
    loss = masked_error(*map(torch.from_numpy, (outputs, images, hidden)))
    assert loss.item() == pytest.approx(np.concatenate(squares).mean())


@pytest.mark.parametrize("normalise", ["image", "block"])
def test_chance_is_the_best_constant_for_each_channel(normalise):
    task = MaskedAutoencoder(_encoder(2, 2), normalise=normalise)
    images = torch.rand(4, 2, 16, 20) ** 3
    inputs, targets = task.make_task(images)
    scaled = standardise(images, task.block if normalise == "block" else None)[0].numpy()
    hidden = targets[1].expand_as(images).numpy()
    variances = [scaled[:, channel][hidden[:, channel]].var() for channel in range(2)]
    assert task.chance_loss(task(inputs), targets).item() == pytest.approx(np.mean(variances), rel=1e-4)
    assert np.mean(variances) == pytest.approx(1, abs=0.1)


def test_the_answer_is_the_image_with_its_hidden_blocks_restored():
    task = MaskedAutoencoder(_encoder(3))
    images = torch.rand(2, 1, 8, 8, 8)
    _, targets = task.make_task(images)
    perfect = standardise(images)[0]
    for answer, image in zip(task.answers(perfect, targets), images, strict=True):
        torch.testing.assert_close(answer.image, image)
    wrong = task.answers(perfect + 1, targets)[0].image
    assert wrong is not None
    assert torch.equal((wrong - images[0]).abs() > 1e-5, targets[1][0])


def test_targets_are_standardised_once_per_update_however_often_losses_are_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr(mae, "standardise", lambda *arguments: calls.append(1) or standardise(*arguments))
    task = Joint(_encoder(2), [MaskedAutoencoder])
    inputs, targets = task.make_task(torch.rand(2, 1, 16, 16))
    task.loss(task(inputs), targets)
    assert calls == [1]


def test_without_skips_the_finer_maps_do_not_reach_the_decoder():
    with_skips, without = (MaskedAutoencoder(_encoder(2), skips=skips).eval() for skips in (True, False))
    assert with_skips.state_dict().keys() == without.state_dict().keys()
    seen = []
    for task in (with_skips, without):
        task.decoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        task(torch.rand(2, 1, 8, 8))
    assert [bool(each.any()) for each in seen[0]] == [True, True, True]
    assert [bool(each.any()) for each in seen[1]] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"ratio": 1.0}, "ratio must be above 0"), ({"normalise": "x"}, "normalise")],
)
def test_arguments_out_of_range_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        MaskedAutoencoder(_encoder(2), **arguments)
