"""Encoders: an image becomes a list of feature maps, finest first."""

from sslmed.encoders.base import Encoder
from sslmed.encoders.checkpoint import load_encoder
from sslmed.encoders.unet import UNetEncoder

__all__ = ["Encoder", "UNetEncoder", "load_encoder"]
