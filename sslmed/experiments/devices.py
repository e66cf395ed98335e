"""Which GPUs there are, and one of them for each job: Snakemake counts them but assigns none."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sslmed.data.workers import usable_cores


def gpus() -> list[str]:
    """Name the GPUs this process may use, without importing torch; none where there is no driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # noqa: S607
    return [str(index) for index in range(listing.stdout.count("GPU "))]


def default_jobs() -> int:
    """One job per GPU, or per core where there is none."""
    return len(gpus()) or usable_cores()


@contextmanager
def a_free_gpu(folder: Path) -> Iterator[None]:
    """Keep a GPU that no other job has, if there are several, and show this process no other.

    Args:
        folder: Where the lock files are. Where every GPU is taken, as with more jobs than GPUs, jobs share the first.
    """
    names = gpus()
    if len(names) < 2:
        yield
        return
    for name in names:
        lock = FileLock(folder / f".gpu{name.replace('/', '_')}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        os.environ["CUDA_VISIBLE_DEVICES"] = name
        try:
            yield
        finally:
            lock.release()
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = names[0]
    yield
