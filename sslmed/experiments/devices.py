"""Lists GPUs and assigns some to each job. Snakemake counts GPUs but does not assign them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from platform import node

import pynvml
from filelock import FileLock, Timeout

from sslmed.core.errors import UserError
from sslmed.core.machine import available_memory, total_memory, usable_cores
from sslmed.core.startup import importing


def gpus() -> list[str]:
    """List the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them, without importing torch.

    The driver is asked (NVML, https://docs.nvidia.com/deploy/nvml-api). Parts of a GPU (MIG) count as GPUs. Of
    `CUDA_VISIBLE_DEVICES`, CUDA ignores the first name that is none, as `-1`, and all after it; doubled names hide all.

    Returns:
        Indices as in `CUDA_VISIBLE_DEVICES`, or UUIDs; empty without a GPU or driver.
    """
    present = _present()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [name for parts in present.values() for name in parts]
    names: list[str] = []
    for name in map(str.strip, visible.split(",")):
        if not _is_one(name, present):
            break
        names.append(name)
    return names if len(set(names)) == len(names) else []


def gpu_memory() -> int | None:
    """Return the memory of the first GPU in bytes; `None` if there is no GPU."""
    return next((total for total, _ in _memory(gpus()[:1])), None)


def free_gpu_memory() -> int:
    """Return the free memory of the GPU that has least of it, in bytes."""
    return min(free for _, free in _memory(gpus()))


def _memory(names: Sequence[str]) -> list[tuple[int, int]]:
    """Return total and free memory of GPUs in bytes."""
    if not names:
        return []
    present = _present()
    uuids = [uuid for gpu, parts in present.items() for uuid in (gpu, *parts)]
    pynvml.nvmlInit()
    try:
        found = []
        for name in names:
            uuid = [*present][int(name)] if name.isdecimal() else next(u for u in uuids if u.startswith(name))
            found.append(_memory_of(pynvml.nvmlDeviceGetHandleByUUID(uuid)))
        return found
    finally:
        pynvml.nvmlShutdown()


def _memory_of(gpu: object) -> tuple[int, int]:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    except pynvml.NVMLError_NotSupported:  # it shares the memory of the machine, as a DGX Spark's
        return total_memory(), available_memory()
    return int(memory.total), int(memory.free)


def _present() -> dict[str, list[str]]:
    """Map the UUID of each GPU of this machine to those of its parts; a GPU that is not divided is its only part."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or no permission
        return {}
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return {pynvml.nvmlDeviceGetUUID(handle): _parts(handle) for handle in handles}
    finally:
        pynvml.nvmlShutdown()


def _parts(gpu: object) -> list[str]:
    parts: list[str] = []
    try:
        if pynvml.nvmlDeviceGetMigMode(gpu)[0] == pynvml.NVML_DEVICE_MIG_ENABLE:
            for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
                with suppress(pynvml.NVMLError_NotFound):  # fewer parts than there can be
                    parts.append(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)))
            return parts
    except pynvml.NVMLError_NotSupported:  # most GPUs cannot be divided
        pass
    return [pynvml.nvmlDeviceGetUUID(gpu)]


def _is_one(name: str, present: dict[str, list[str]]) -> bool:
    """Whether CUDA takes a name for a device: an index, or the beginning of a UUID."""
    if name.isdecimal():
        return int(name) < len(present)
    uuids = [uuid for gpu, parts in present.items() for uuid in (gpu, *parts)]
    return name.startswith(("GPU-", "MIG-")) and any(uuid.startswith(name) for uuid in uuids)


def check_gpus(number: int) -> None:
    """Check that torch has the number of GPUs that a job is to have. Training would use the CPU without a word.

    Raises:
        UserError: If there are fewer.
    """
    if number == 0:
        return
    with importing():
        import torch
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < number:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise UserError(
            f"a job was to have {number} GPU(s), but torch {torch.__version__} (for CUDA: {torch.version.cuda}) "
            f"finds {found} on {node()} (CUDA_VISIBLE_DEVICES: {visible}): check torch and the driver; an empty "
            "CUDA_VISIBLE_DEVICES trains on the CPU"
        )


def check_devices(devices: int) -> None:
    """Check that this machine has enough devices for a run.

    Raises:
        UserError: If `devices` is above the number of GPUs. Without GPUs, processes share the cores.
    """
    names = gpus()
    if names and devices > len(names):
        raise UserError(f"devices is {devices}, but there are {len(names)} GPU(s): {', '.join(names)}")


def default_jobs(devices: int = 1) -> int:
    """Compute how many jobs fit the GPUs, or the cores without a GPU, if a run takes some of them; at least one."""
    return max(1, (len(gpus()) or usable_cores()) // devices)


@contextmanager
def free_gpus(folder: Path, devices: int = 1) -> Iterator[None]:
    """Reserve GPUs for this job if there are more than it needs, and hide the others from this process.

    Nothing waits, so jobs cannot block each other. If there are more jobs than GPUs, they spread evenly: a GPU gets its
    second job when every GPU has its first. The lock files are in `folder`.
    """
    names = gpus()
    if len(names) <= devices:
        yield
        return
    for place in count():  # of a job on its GPUs
        with ExitStack() as kept:
            free: list[str] = []
            for name in names:
                lock = FileLock(folder / f".gpu-{node()}-{name.replace('/', '_')}-{place}.lock", timeout=0)
                with suppress(Timeout):
                    kept.enter_context(lock)
                    free.append(name)
                if len(free) == devices:
                    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(free)
                    yield
                    return
