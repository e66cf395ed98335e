import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sslmed.encoders import Encoder
from sslmed.pretext.patches import cut_cells, cut_patches, grid_cells, random_offsets

CPU = torch.device("cpu")


class Least(Encoder):
    """An encoder that takes images of a side and more."""

    in_channels, out_channels = 1, (1,)

    def __init__(self, side: int, spatial_dims: int = 2) -> None:
        super().__init__()
        self.spatial_dims, self.reductions = spatial_dims, (side,)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        raise NotImplementedError


@given(data=st.data(), dims=st.sampled_from([2, 3]))
def test_patches_are_slices(device, data, dims):
    shape = data.draw(st.tuples(*[st.integers(3, 9)] * dims))
    size = data.draw(st.tuples(*[st.integers(1, side) for side in shape]))
    images = torch.rand(2, 3, *shape)
    origins = random_offsets((2, 4), [s - p for s, p in zip(shape, size, strict=True)], None, device)
    patches = cut_patches(images.to(device), origins, size).cpu()
    assert patches.shape == (2, 4, 3, *size)
    for b in range(2):
        for p in range(4):
            window = tuple(slice(o, o + s) for o, s in zip(origins[b, p].tolist(), size, strict=True))
            assert np.array_equal(patches[b, p], images[b].numpy()[(slice(None), *window)])


def test_cells_are_row_major():
    assert np.array_equal(grid_cells(3, 2), np.argwhere(np.ones((3, 3))))
    assert np.array_equal(grid_cells(2, 3), np.argwhere(np.ones((2, 2, 2))))
    assert np.array_equal(grid_cells(3, 1), [[0], [1], [2]])


def test_offsets_reach_both_ends_of_every_axis():
    offsets = random_offsets((1000,), (0, 1, 4), torch.Generator().manual_seed(0), CPU)
    assert offsets.min(0).values.tolist() == [0, 0, 0]
    assert offsets.max(0).values.tolist() == [0, 1, 4]


@pytest.mark.parametrize(
    ("shape", "jitter", "patch"),
    [
        ((128, 128, 128), 3, (39, 39, 39)),
        ((224, 224), 8, (66, 66)),
        ((128, 128), 4, (38, 38)),
        ((128, 128), None, (38, 38)),  # the default is a tenth of the cell of 42
        ((32, 40, 49), None, (9, 12, 15)),
        ((48, 48, 48), None, (15, 15, 15)),
        ((24, 26, 29), None, (7, 7, 8)),  # but at least 1
    ],
)
def test_sizes(shape, jitter, patch):
    patches = cut_cells(torch.zeros(1, 1, *shape), torch.tensor([[0, 8]]), jitter, Least(4, len(shape)), None)
    assert patches.shape == (1, 2, 1, *patch)


@given(side=st.integers(3, 90), minimum=st.integers(1, 30))
def test_default_jitter_is_at_least_1_wherever_that_leaves_a_patch(side, minimum):
    image, cell = torch.zeros(1, 1, side, side), side // 3
    if cell - 1 < minimum:
        with pytest.raises(ValueError, match="less jitter"):
            cut_cells(image, torch.tensor([[4]]), None, Least(minimum), None)
    else:
        patch = cut_cells(image, torch.tensor([[4]]), None, Least(minimum), None).shape[-1]
        assert minimum <= patch <= cell - 1
        assert cell - patch == max(1, min(cell // 10, cell - minimum))


@pytest.mark.parametrize("jitter", [0, 1, 2, 3])
def test_centred_patches_are_the_middle_of_their_cells(jitter):
    image = torch.rand(1, 1, 24, 27)
    patches = cut_cells(image, torch.arange(9)[None], jitter, Least(4), None, centred=True)
    for (row, column), patch in zip(np.ndindex(3, 3), patches[0, :, 0].numpy(), strict=True):
        cell = image[0, 0, 8 * row : 8 * row + 8, 9 * column : 9 * column + 9].numpy()
        before, after = (
            jitter // 2,
            jitter - jitter // 2,
        )  # of an odd jitter, the smaller part comes first, as published
        assert np.array_equal(patch, cell[before : 8 - after, before : 9 - after])


@pytest.mark.parametrize(("shape", "jitter"), [((48, 48, 48), None), ((48, 64, 64), 1)])
def test_patches_too_small_for_the_encoder_are_refused(shape, jitter):
    with pytest.raises(ValueError, match=rf"{shape[0]}, {shape[1]}.*patches of .*at least 16.*fewer levels"):
        cut_cells(torch.zeros(1, 1, *shape), torch.tensor([[0]]), jitter, Least(16, 3), None)
