"""Which GPUs there are, and some of them for each job: Snakemake counts them but assigns none."""

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
    """Name the GPUs this process may use, without importing torch; none where there is no driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # noqa: S607
    return [str(index) for index in range(listing.stdout.count("GPU "))]


def check_devices(devices: int) -> None:
    """Refuse a number of devices per run that this machine has not.

    Raises:
        UserError: If it is above the number of GPUs. Where there is none, processes share the cores.
    """
    names = gpus()
    if names and devices > len(names):
        raise UserError(f"devices is {devices}, but there are {len(names)} GPU(s): {', '.join(names)}")


def default_jobs(devices: int = 1) -> int:
    """As many jobs as there are GPUs for, or cores where there is none; at least one.

    Args:
        devices: GPUs, or processes on the CPU, that a run takes.
    """
    return max(1, (len(gpus()) or usable_cores()) // devices)


@contextmanager
def free_gpus(folder: Path, devices: int = 1) -> Iterator[None]:
    """Keep GPUs that no other job has, if there are more than a job takes, and show this process no others.

    Nothing waits, so jobs cannot block each other.

    Args:
        folder: Where the lock files are.
        devices: How many. Where fewer are free, as with more jobs than there are GPUs for, jobs share the first ones.
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
