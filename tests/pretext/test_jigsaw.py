import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sslmed.encoders import UNetEncoder
from sslmed.pretext import Jigsaw
from sslmed.pretext.jigsaw import far_permutations


def hamming(permutations: torch.Tensor) -> np.ndarray:
    pairs = itertools.combinations(permutations.numpy(), 2)
    return np.array([(one != other).sum() for one, other in pairs])


@pytest.mark.parametrize("shape", [(33, 38), (25, 27, 32)])
@pytest.mark.parametrize("channels", [1, 2])
def test_pieces_lie_where_the_permutation_says(shape, channels):
    dims, jitter = len(shape), 2
    task = Jigsaw(UNetEncoder(dims, channels, widths=(2, 4)), num_permutations=20, jitter=jitter)
    # Every voxel's value is its own number, so that a patch tells where it is from.
    image = np.arange(channels * math.prod(shape)).reshape(channels, *shape)
    images = torch.tensor(np.stack([image, image + 7]), dtype=torch.float32)
    patches, targets = task.make_task(images, torch.Generator().manual_seed(0))
    patch = tuple(side // 3 - jitter for side in shape)
    assert patches.shape == (2, 3**dims, channels, *patch)
    offsets = []
    for b, p in itertools.product(range(2), range(3**dims)):
        first = int(patches[b, p].min()) - 7 * b
        origin = np.array(np.unravel_index(first, shape))
        cell = np.array(np.unravel_index(task.permutations[targets[b], p].item(), (3,) * dims))
        offsets.append(origin - cell * (np.array(shape) // 3))
        window = tuple(slice(start, start + side) for start, side in zip(origin, patch, strict=True))
        assert np.array_equal(patches[b, p], images[b].numpy()[(slice(None), *window)])
    assert np.min(offsets, axis=0).tolist() == [0] * dims
    assert np.max(offsets, axis=0).tolist() == [jitter] * dims


@pytest.mark.parametrize("centred", [False, True])
def test_validation_cuts_the_middle_of_cells_where_asked_to(centred):
    task = Jigsaw(UNetEncoder(2, 1, widths=(2, 4)), jitter=2, centred_validation=centred)
    image = torch.arange(27 * 27.0).reshape(1, 1, 27, 27)

    def offsets():
        """How far each patch lies from the corner of its cell, over ten puzzles."""
        patches, targets = task.make_task(image.expand(10, -1, -1, -1))
        first = np.stack(np.unravel_index(patches.amin((2, 3, 4)).long().numpy(), (27, 27)), axis=-1)
        return first % 9, targets

    task.train()
    assert offsets()[0].max() == 2
    task.eval()
    seen, targets = offsets()
    assert (seen == 1).all() == centred
    assert len(set(targets.tolist())) > 1  # labels stay random


@pytest.mark.parametrize(("length", "least", "mean"), [(27, 24, 26.1), (9, 6, 8.05)])
def test_the_default_permutations_are_far_apart(length, least, mean):
    distances = hamming(far_permutations(100, length, seed=0))
    assert distances.min() >= least
    assert distances.mean() >= mean


@given(length=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_each_permutation_is_as_far_as_can_be_from_those_before(length, seed, data):
    every = np.array(list(itertools.permutations(range(length))))
    count = data.draw(st.integers(1, len(every)))
    chosen = far_permutations(count, length, seed).numpy()
    assert len({tuple(row) for row in chosen}) == count
    assert {tuple(row) for row in chosen} <= {tuple(row) for row in every}
    for i in range(1, count):
        nearest = (every[:, None] != chosen[None, :i]).sum(2).min(1)
        assert (chosen[i] != chosen[:i]).sum(1).min() == nearest.max()


def test_the_seed_decides():
    first, again, other = (far_permutations(10, 9, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_many_permutations_have_no_duplicates():
    assert len(far_permutations(600, 9, seed=0).unique(dim=0)) == 600


@pytest.mark.parametrize("count", [0, 7])
def test_an_impossible_number_of_permutations_is_refused(count):
    with pytest.raises(ValueError, match=f"{count} of the 6 permutations of 3"):
        far_permutations(count, 3, seed=0)


def test_permutations_travel_with_the_checkpoint():
    assert Jigsaw(UNetEncoder(2, 1, widths=(2, 4)), 5).state_dict()["permutations"].shape == (5, 9)
