"""Where and on what a result was made, and what it took."""

import platform
import resource
from importlib.metadata import version
from typing import Any

import torch

PACKAGES = ("sslmed", "torch", "pytorch-lightning", "monai", "numpy")


def provenance(device: torch.device) -> dict[str, Any]:
    """Describe the device, the versions, and the most memory taken: of a GPU by the run, else by the whole process."""
    on_gpu = device.type == "cuda"
    # Linux counts in KiB.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else resident,
        "device": torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU",
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    }
