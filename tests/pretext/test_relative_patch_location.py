import numpy as np
import pytest
import torch

from sslmed.encoders import UNetEncoder
from sslmed.pretext import RelativePatchLocation


@pytest.mark.parametrize("shape", [(33, 38), (25, 27, 32)])
@pytest.mark.parametrize("channels", [1, 2])
def test_patches_are_from_the_centre_and_from_the_cell_named(shape, channels):
    dims, jitter, batch_size = len(shape), 2, 400
    task = RelativePatchLocation(UNetEncoder(dims, channels, widths=(2, 4)), jitter=jitter)
    # Every voxel's value is its own number, so that a patch tells where it is from.
    image = np.arange(channels * np.prod(shape), dtype=np.float32).reshape(channels, *shape)
    patches, targets = task.make_task(
        torch.tensor(image).expand(batch_size, *image.shape), torch.Generator().manual_seed(0)
    )
    patch = tuple(side // 3 - jitter for side in shape)
    assert patches.shape == (batch_size, 2, channels, *patch)
    cells = [cell for cell in np.ndindex((3,) * dims) if cell != (1,) * dims]
    assert set(targets.tolist()) == set(range(len(cells)))
    for pair, target in zip(patches.numpy(), targets.tolist(), strict=True):
        for got, cell in zip(pair, ((1,) * dims, cells[target]), strict=True):
            origin = np.array(np.unravel_index(int(got.min()), shape))
            offset = origin - np.array(cell) * (np.array(shape) // 3)
            assert ((offset >= 0) & (offset <= jitter)).all()
            window = tuple(slice(start, start + side) for start, side in zip(origin, patch, strict=True))
            assert np.array_equal(got, image[(slice(None), *window)])
