"""Downstream tasks: what an encoder is fine-tuned for."""

from sslmed.downstream.classification import Classification
from sslmed.downstream.regression import Regression
from sslmed.downstream.segmentation import Segmentation

__all__ = ["Classification", "Regression", "Segmentation"]
