"""Peak speed of the machine, to compare a training step with."""

import torch
from torch import nn

from benchmarks.measure import per, time_in_turn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def peak_rate(precision: str, device: torch.device) -> list[float]:
    """FLOP/s of the faster of a large matrix product and a wide 3-D convolution, with the current number of threads."""
    on_gpu = device.type == "cuda"
    dtype = DTYPES[precision]
    n, channels, side, batch = (8192, 128, 64, 4) if on_gpu else (1024, 64, 16, 1)
    matrix = torch.randn(n, n, device=device).to(dtype)
    layout = {"device": device, "dtype": dtype, "memory_format": torch.channels_last_3d}
    convolution = nn.Conv3d(channels, channels, 3, padding=1, bias=False).to(**layout)  # type: ignore[call-overload]
    images = torch.randn(batch, channels, side, side, side, device=device).to(**layout)  # type: ignore[call-overload]

    def convolve() -> None:
        with torch.no_grad():
            convolution(images)
        synchronise(device)

    def multiply() -> None:
        matrix @ matrix
        synchronise(device)

    flops = {multiply: 2 * n**3, convolve: 2 * batch * side**3 * 27 * channels**2}
    taken = time_in_turn({function.__name__: function for function in flops}, repeats=9, seconds=1)
    rates = [per(amount, taken[function.__name__]) for function, amount in flops.items()]
    return max(rates, key=max)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
