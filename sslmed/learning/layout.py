"""The layout of weights in memory."""

from torch import channels_last, channels_last_3d, nn

LAYOUTS = {4: channels_last, 5: channels_last_3d}  # by the number of a tensor's dimensions


def store_channels_last(network: nn.Module) -> None:
    """Store weights with channels last, the faster layout for convolutions. Features take the layout of the weights.

    `network.to(memory_format=…)` fails if parameters of 4 and of 5 dimensions are mixed.

    Args:
        network: Any module. It is changed in place.
    """
    for parameter in network.parameters():
        if parameter.ndim in LAYOUTS:
            parameter.data = parameter.data.to(memory_format=LAYOUTS[parameter.ndim])
