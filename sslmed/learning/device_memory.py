"""The memory of a GPU, which jobs may share: how much a job may take, how much it took, and what to do without."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sslmed.core.errors import RunError
from sslmed.core.gpu_sharing import RAN_OUT, jobs_per_gpu

_LACK = ("out of memory", "ALLOC_FAILED")  # CUDA's and PyTorch's words; cuBLAS's and cuDNN's


def free_memory(device: torch.device) -> int:
    """Return the number of bytes that a GPU has left for this process, at most its part of the GPU; 0 for a CPU."""
    if device.type != "cuda":
        return 0
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free, total = torch.cuda.mem_get_info(device)
    # Jobs start together: each would find all of it free.
    return min(free + unused, total // jobs_per_gpu())


def forget_earlier_run() -> None:
    """Free what an earlier run of this process has left on the GPU, and measure the peak memory anew."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@contextmanager
def explain_lack_of_memory() -> Iterator[None]:
    """Say in one line that GPU memory ran out, and what to do.

    Raises:
        RunError: If it ran out.
    """
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if not any(words in text for words in _LACK):
            raise
        jobs = jobs_per_gpu()
        advice = "resume with fewer --jobs" if jobs > 1 else "use smaller batches or crops, or a GPU with more memory"
        shared = f", which up to {jobs} jobs share" if jobs > 1 else ""
        raise RunError(f"{RAN_OUT}{shared} ({'. '.join(text.split('. ')[:2])}): {advice}") from error
