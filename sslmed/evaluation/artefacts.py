"""Artefacts of scanners and cameras in prepared images, from torchio, at three strengths.

Source: Pérez-García et al. 2021, https://doi.org/10.1016/j.cmpb.2021.106236.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from sslmed.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from torchio import Transform

Artefact = Literal["motion", "ghosting", "bias", "noise", "spacing"]

STRENGTHS = {1: "mild", 2: "moderate", 3: "severe"}
OF_PHOTOGRAPHS: tuple[Artefact, ...] = ("bias", "noise")
"""Uneven light and noise. The others arise in the k-space, or between the slices, of a scanner."""


def applicable(artefacts: Sequence[Artefact], spatial_dims: int) -> tuple[Artefact, ...]:
    """Return artefacts in the order of the registry, each once.

    Raises:
        UserError: If one of them does not occur in images of these dimensions.
    """
    chosen = tuple(each for each in MAKERS if each in artefacts)
    odd = [each for each in chosen if spatial_dims == 2 and each not in OF_PHOTOGRAPHS]
    if odd:
        choices = " and ".join(OF_PHOTOGRAPHS)
        raise UserError(f"{', '.join(odd)}: no artefact of photographs, only of scans; photographs can have {choices}")
    return chosen


def corrupt(image: "Tensor", artefact: Artefact, strength: int, case: str) -> "Tensor":
    """Return an image with an artefact. The case alone determines what is random, for all strengths alike.

    Args:
        image: `(C, *spatial)` in [0, 1], on the CPU.
        artefact: The artefact.
        strength: 1, 2 or 3.
        case: Id of the case.

    Returns:
        float32 `(C, *spatial)`, clipped to [0, 1] as prepared images are.
    """
    import torch  # takes seconds, and the command's help needs nothing of it

    from sslmed.core.seeds import derived_seed

    volume = image.float() if image.ndim == 4 else image.float()[..., None]
    transform = MAKERS[artefact](strength, sum(volume.shape[1:]) / 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(f"{artefact} {case}"))
        corrupted: Tensor = transform(volume)
    return corrupted.clamp(0, 1).reshape(image.shape)


def _motion(strength: int, side: float) -> "Transform":
    """Two movements during the scan, by up to 2, 5 or 10 degrees and 2, 4 or 8 % of the side about each axis."""
    from torchio import RandomMotion  # takes seconds

    return RandomMotion(degrees=(2, 5, 10)[strength - 1], translation=side * 0.01 * 2**strength, num_transforms=2)


def _ghosting(strength: int, side: float) -> "Transform":  # noqa: ARG001
    """Four ghosts along one axis; strength of the artefact in k-space 0.25, 0.5 or 1."""
    from torchio import RandomGhosting

    intensity = 2.0 ** (strength - 3)
    return RandomGhosting(num_ghosts=(4, 4), intensity=(intensity, intensity))


def _bias(strength: int, side: float) -> "Transform":  # noqa: ARG001
    """A smooth factor, the exponential of a polynomial with coefficients of up to 0.25, 0.5 or 1."""
    from torchio import RandomBiasField

    return RandomBiasField(coefficients=2.0 ** (strength - 3))


def _noise(strength: int, side: float) -> "Transform":  # noqa: ARG001
    """Gaussian noise with a standard deviation of 0.05, 0.1 or 0.2 of the range of intensities."""
    from torchio import RandomNoise

    deviation = 0.025 * 2**strength
    return RandomNoise(mean=0, std=(deviation, deviation))


def _spacing(strength: int, side: float) -> "Transform":  # noqa: ARG001
    """Slices along one axis that are 2, 4 or 8 times as thick."""
    from torchio import RandomAnisotropy

    return RandomAnisotropy(downsampling=(2**strength, 2**strength))


MAKERS: dict[Artefact, Callable[[int, float], "Transform"]] = {
    "motion": _motion,
    "ghosting": _ghosting,
    "bias": _bias,
    "noise": _noise,
    "spacing": _spacing,
}
"""Artefact -> function of strength and mean side in voxels."""
