"""Pretext tasks: they train an encoder on images without labels."""

from sslmed.pretext.base import PretextTask
from sslmed.pretext.cpc import CPC
from sslmed.pretext.dino import DINO
from sslmed.pretext.exemplar import Exemplar
from sslmed.pretext.genesis import ModelsGenesis
from sslmed.pretext.jigsaw import Jigsaw
from sslmed.pretext.joint import Joint
from sslmed.pretext.mae import MaskedAutoencoder
from sslmed.pretext.multilevel import MultiLevel
from sslmed.pretext.relative_patch_location import RelativePatchLocation
from sslmed.pretext.rotation import Rotation
from sslmed.pretext.simclr import SimCLR
from sslmed.pretext.vicreg import VICReg
from sslmed.pretext.voco import VoCo

__all__ = [
    "CPC",
    "DINO",
    "Exemplar",
    "Jigsaw",
    "Joint",
    "MaskedAutoencoder",
    "ModelsGenesis",
    "MultiLevel",
    "PretextTask",
    "RelativePatchLocation",
    "Rotation",
    "SimCLR",
    "VICReg",
    "VoCo",
]
