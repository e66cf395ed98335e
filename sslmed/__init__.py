"""Self-supervised pretraining for medical images whose benefit one can trust."""

__version__ = "0.1.0"
