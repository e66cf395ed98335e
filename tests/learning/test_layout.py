import pytest
import torch
from families import ENCODERS
from torch import nn

from sslmed.learning.layout import store_channels_last


class WithPositions(nn.Module):
    """A network with parameters of 4 and of 5 dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.rand(1, 3, 5, 7))
        self.convolution = nn.Conv3d(2, 3, 3)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [*ENCODERS, "both"])
def test_values_stay_and_every_weight_of_a_convolution_has_channels_last(name: str, dims: int) -> None:
    network = WithPositions() if name == "both" else ENCODERS[name](dims, 2)
    before = {key: each.detach().clone() for key, each in network.named_parameters()}
    store_channels_last(network)
    assert all(torch.equal(each, before[key]) for key, each in network.named_parameters())
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            layout = {4: torch.channels_last, 5: torch.channels_last_3d}[layer.weight.ndim]
            assert layer.weight.is_contiguous(memory_format=layout)
