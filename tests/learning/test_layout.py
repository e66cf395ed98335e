import pytest
import torch
from families import ENCODERS
from torch import nn

from sslmed.learning.layout import store_channels_last

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


class WithPositions(nn.Module):
    """A network with parameters of 4 and of 5 dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.rand(1, 3, 5, 7))
        self.convolution = nn.Conv3d(2, 3, 3)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [*ENCODERS, "both"])
def test_weights_are_stored_as_torch_would_store_them(name: str, dims: int) -> None:
    network = WithPositions() if name == "both" else ENCODERS[name](dims, 2)
    before = {key: each.detach().clone() for key, each in network.named_parameters()}
    store_channels_last(network)
    assert all(torch.equal(each, before[key]) for key, each in network.named_parameters())
    if name == "both":
        assert network.convolution.weight.is_contiguous(memory_format=torch.channels_last_3d)
    else:  # the strides too, where a weight has one channel or one voxel, and several would do
        whole = ENCODERS[name](dims, 2).to(memory_format=LAYOUTS[dims])
        strides = {key: each.stride() for key, each in network.named_parameters()}
        assert strides == {key: each.stride() for key, each in whole.named_parameters()}
