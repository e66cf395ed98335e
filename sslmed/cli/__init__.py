"""The command `sslmed`."""

from sslmed.cli.command import main

__all__ = ["main"]
