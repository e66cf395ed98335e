"""Everything that is trained, with all augmentation there is, and batches for it."""

from collections.abc import Callable
from functools import partial

import torch

from sslmed.downstream import Classification, Regression, Segmentation
from sslmed.encoders import UNetEncoder
from sslmed.learning.augmentation import RandomAffine, RandomIntensity
from sslmed.pretext import (
    CPC,
    DINO,
    Exemplar,
    Jigsaw,
    Joint,
    MaskedAutoencoder,
    ModelsGenesis,
    RelativePatchLocation,
    Rotation,
    SimCLR,
    VICReg,
    VoCo,
)

AUGMENTED = {"affine": RandomAffine(0.5, 0.5, 0.5, 30, 0.5), "intensity": RandomIntensity()}
MODULES: dict[str, Callable] = {
    "rotation": partial(Rotation, affine=RandomAffine(zoom=1.0)),
    "jigsaw": Jigsaw,
    "rpl": RelativePatchLocation,
    "exemplar": Exemplar,
    "cpc": CPC,
    "cpc-bce": partial(CPC, objective="bce"),
    "mae": MaskedAutoencoder,
    "mae-block": partial(MaskedAutoencoder, normalise="block", skips=False),
    "simclr": SimCLR,
    "vicreg": VICReg,
    "dino": DINO,
    "genesis": ModelsGenesis,
    "voco": VoCo,
    "joint": partial(Joint, weighting="uncertainty"),
    "segmentation": partial(Segmentation, label_values=(0, 1, 2), **AUGMENTED),
    "classes": partial(Classification, num_classes=5, **AUGMENTED),
    "grades": partial(Classification, num_classes=5, objective="ordinal", **AUGMENTED),
    "values": partial(Regression, **AUGMENTED),
}


def module_and_batch(
    name: str, dims: int, device: str | torch.device
) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A module with the same weights at every call, and a batch drawn from the global generator."""
    torch.manual_seed(0)
    module = MODULES[name](UNetEncoder(dims, 1, widths=(8, 16), dropout=0.1))
    return module.to(device), draw_batch(name, dims, device)


def draw_batch(name: str, dims: int, device: str | torch.device) -> dict[str, torch.Tensor]:
    images = torch.rand(3, 1, *(24,) * dims).half()
    labels = {"segmentation": (2.9 * images[:, 0]).byte(), "values": torch.rand(3)}
    batch = {"image": images, "label": labels.get(name, torch.randint(5, (3,)))}
    return {key: tensor.to(device) for key, tensor in batch.items()}
