"""Divides an encoder into stages, which fine-tuning unfreezes one after the other and trains at different rates.

Source: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146, sections 3.2 and 3.3.
"""

import math

from torch import nn

from sslmed.encoders import Encoder

ROUNDING = 1e-9  # of fractions: 0.2 + 0.4 is more than 0.6


def stages(encoder: Encoder) -> list[nn.Module]:
    """List the parts of an encoder in the order of their registration, which should be that of the data's path.

    They are the modules within lists, or within the only module, of the encoder: for a U-Net one block per level.

    Args:
        encoder: Any encoder. Parameters that are its own, not a module's, are in no stage.

    Returns:
        Modules with parameters, the one that sees the image first.
    """
    parts: list[nn.Module] = [encoder]
    while len(parts) == 1 or any(isinstance(part, nn.ModuleList) for part in parts):
        inner = [
            child
            for part in parts
            for child in (part.children() if len(parts) == 1 or isinstance(part, nn.ModuleList) else [part])
            if any(True for _ in child.parameters())
        ]
        if not inner:
            break
        parts = inner
    return parts


def count_frozen(number: int, progress: float, frozen: float, unfreezing: float) -> int:
    """Count the stages that are still frozen, first those that see the image first.

    All are frozen in the first part of training. Then they are unfrozen one by one, the last (coarsest) stage first.

    Args:
        number: Number of stages.
        progress: Completed fraction of training, in [0, 1].
        frozen: Fraction of training during which all stages are frozen.
        unfreezing: Fraction of training that follows, at the end of which the first stage is unfrozen.

    Returns:
        From `number` to 0.
    """
    since = progress - frozen + ROUNDING
    if since < 0:
        return number
    if since >= unfreezing:
        return 0
    return number - 1 - math.floor(since / unfreezing * (number - 1))
