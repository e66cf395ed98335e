"""Lists GPUs and assigns some to each job. Snakemake counts GPUs but does not assign them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from platform import node

from filelock import BaseFileLock, FileLock, Timeout

from sslmed.core.errors import UserError
from sslmed.core.workers import usable_cores


def gpus() -> list[str]:
    """List the GPUs that this process may use, without importing torch; empty without a driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # noqa: S607
    return [str(index) for index in range(listing.stdout.count("GPU "))]


def check_devices(devices: int) -> None:
    """Check that this machine has enough devices for a run.

    Raises:
        UserError: If `devices` is above the number of GPUs. Without GPUs, processes share the cores.
    """
    names = gpus()
    if names and devices > len(names):
        raise UserError(f"devices is {devices}, but there are {len(names)} GPU(s): {', '.join(names)}")


def default_jobs(devices: int = 1) -> int:
    """Compute the number of jobs that fit the GPUs, or the cores if there is no GPU; at least one.

    Args:
        devices: GPUs, or processes on the CPU, per run.
    """
    return max(1, (len(gpus()) or usable_cores()) // devices)


@contextmanager
def free_gpus(folder: Path, devices: int = 1) -> Iterator[None]:
    """Reserve GPUs for this job if there are more than it needs, and hide the others from this process.

    Nothing waits, so jobs cannot block each other.

    Args:
        folder: Folder for the lock files.
        devices: Number of GPUs. If fewer are free, because there are more jobs than GPUs, jobs share the first ones.
    """
    names = gpus()
    if len(names) <= devices:
        yield
        return
    with ExitStack() as kept:
        free: list[str] = []
        for name in names:
            lock = FileLock(folder / f".gpu-{node()}-{name.replace('/', '_')}.lock", timeout=0)
            if len(free) < devices and _is_free(lock):
                kept.callback(lock.release)
                free.append(name)
        if len(free) < devices:
            kept.close()  # another job may complete its set with these
            free = names[:devices]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(free)
        yield


def _is_free(lock: BaseFileLock) -> bool:
    try:
        lock.acquire()
    except Timeout:
        return False
    return True
