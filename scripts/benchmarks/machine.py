"""The machine that the numbers were measured on."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch

from sslmed.training.provenance import version_of

PACKAGES = ("sslmed", "torch", "pytorch-lightning", "monai", "numpy", "scipy", "nibabel")


def describe() -> dict[str, Any]:
    """Describe machine, versions and date, as JSON values."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu("model name", platform.processor()),
        "cpu_flags": _cpu("flags", "").split(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
        "versions": {"python": platform.python_version()} | {package: version_of(package) for package in PACKAGES},
    }


def cores() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu(key: str, default: str) -> str:
    """Return the name of the first core; only Linux has this file."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), default)
