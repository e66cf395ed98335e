"""Measures the free memory of a device."""

import torch


def free_memory(device: torch.device) -> int:
    """Return the number of bytes that a GPU has left for this process; 0 for a CPU."""
    if device.type != "cuda":
        return 0
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
