"""Encoders: they turn an image into a list of feature maps, finest first."""

from sslmed.encoders.base import Encoder
from sslmed.encoders.checkpoint import load_encoder
from sslmed.encoders.densenet import DenseNetEncoder
from sslmed.encoders.residual import ResidualEncoder
from sslmed.encoders.resnet import ResNetEncoder
from sslmed.encoders.swin import SwinEncoder
from sslmed.encoders.unet import UNetEncoder

__all__ = [
    "DenseNetEncoder",
    "Encoder",
    "ResNetEncoder",
    "ResidualEncoder",
    "SwinEncoder",
    "UNetEncoder",
    "load_encoder",
]
