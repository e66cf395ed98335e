"""How much of a device's own memory is free."""

import torch


def free_memory(device: torch.device) -> int:
    """Bytes that a GPU has left for this process; 0 of a CPU, which has no memory of its own."""
    if device.type != "cuda":
        return 0
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
