"""Provenance of a result: device, code, versions and memory."""

import platform
import resource
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("sslmed", "torch", "pytorch-lightning", "monai", "numpy")
"""Each says its version itself. What pip knows is absent in a source tree."""


def provenance(device: torch.device) -> dict[str, Any]:
    """Describe device, code and versions, and the peak memory in bytes: of the run on a GPU, and of the process."""
    on_gpu = device.type == "cuda"
    # In KiB on Linux.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "peak_memory_bytes": torch.cuda.max_memory_reserved() if on_gpu else resident,
        "process_memory_bytes": resident,
        "device": torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU",
        "git": git_state(),
        "versions": {"python": platform.python_version()} | {package: version_of(package) for package in PACKAGES},
    }


def version_of(package: str) -> str:
    """Return the version that a package says itself."""
    return str(import_module(package.replace("-", "_")).__version__)


def git_state() -> str | None:
    """Return the commit of the code, with `-dirty` if tracked files differ; `None` outside a git checkout."""
    here = Path(__file__)
    try:
        # An installed package may be inside the checkout of another project, whose commit is not that of the code.
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]  # the first git on the PATH, as in a shell
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
