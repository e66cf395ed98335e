"""What jobs that share a GPU are told, and what they say if its memory runs out."""

import os

JOBS_PER_GPU = "SSLMED_JOBS_PER_GPU"
"""Variable of the environment: the largest number of jobs that share a GPU. It changes nothing that a run learns."""

RAN_OUT = "GPU memory ran out"
"""The beginning of what a run says that ended for this reason."""


def jobs_per_gpu() -> int:
    """Return the largest number of jobs that share the GPU of this one, itself included."""
    return int(os.environ.get(JOBS_PER_GPU, "1"))
