"""Applies a trained network to whole images as it was trained: at once, in windows, or slice by slice."""

from collections.abc import Callable, Sequence
from itertools import combinations, product
from math import prod

import torch
from monai.inferers.inferer import SlidingWindowInferer
from torch import Tensor

Network = Callable[[Tensor], Tensor]
"""From images `(B, C, *spatial)` to maps `(B, K, *spatial)`, or to answers `(B, K)` or `(B,)`."""

OVERLAP = 0.5  # of neighbouring windows, as nnU-Net has it: https://doi.org/10.1038/s41592-020-01008-z
VOXELS_AT_ONCE = 2**20  # windows of 96³ are applied one by one, smaller ones in batches
SLICES_AT_ONCE = 32


def mean_over(networks: Sequence[Network], dims: int, *, flips: bool) -> Network:
    """Return the mean of several networks, and over flips.

    Args:
        networks: At least one.
        dims: Spatial dimensions of their images.
        flips: Take the mean over all combinations of reversed axes, too: 8 for volumes.
    """
    axes = range(-dims, 0)
    flipped = [tuple(each) for number in range(dims + 1 if flips else 1) for each in combinations(axes, number)]

    def mean(images: Tensor) -> Tensor:
        total: Tensor | None = None
        for network, flip in product(networks, flipped):
            answers = network(images.flip(flip))
            answers = answers.flip(flip) if answers.ndim == images.ndim else answers
            total = answers if total is None else total + answers
        return torch.as_tensor(total) / (len(networks) * len(flipped))

    return mean if len(networks) * len(flipped) > 1 else networks[0]


def apply_whole(
    network: Network, images: Tensor, dims: int, *, window: Sequence[int] | None, device: torch.device
) -> Tensor:
    """Apply a network to whole images.

    Windows overlap by half, and count with a Gaussian weight, as borders of a window are predicted less well.

    Args:
        network: What is applied.
        images: `(B, C, *spatial)`; for a 2-D network they may be volumes, which it sees slice by slice, along the last
            axis.
        dims: Dimensions of what the network sees.
        window: Sides in voxels of the crops that it was trained on; `None` if it was trained on whole images.
        device: Where the network is. The images may be elsewhere, as large ones on the CPU.

    Returns:
        What the network returns, where the images are. Of the device, a windowed network needs only the memory of one
        window, and of a slab of its results that is as thick as a window.
    """
    if images.ndim == dims + 3:
        return _by_slices(network, images, dims, window=window, device=device)
    if window is None:
        return network(images.to(device)).to(images.device)
    steps = None if images.device == device else 1  # gather results on the device, and move them slab by slab
    batch = max(1, VOXELS_AT_ONCE // prod(window))
    inferer = SlidingWindowInferer(
        window, batch, OVERLAP, mode="gaussian", sw_device=device, buffer_steps=steps, buffer_dim=0
    )
    results: Tensor = inferer(images, network)  # type: ignore[assignment]
    return results


def _by_slices(
    network: Network, images: Tensor, dims: int, *, window: Sequence[int] | None, device: torch.device
) -> Tensor:
    """Some slices of one volume are a batch, so that a large volume needs little more memory than its results."""
    results: Tensor | None = None
    for index, first in product(range(len(images)), range(0, images.shape[-1], SLICES_AT_ONCE)):
        part = slice(first, first + SLICES_AT_ONCE)
        slices = images[index, ..., part].movedim(-1, 0)
        maps = apply_whole(network, slices, dims, window=window, device=device).movedim(0, -1)
        if results is None:
            results = maps.new_empty(len(images), len(maps), *images.shape[2:])
        results[index, ..., part] = maps
    return torch.as_tensor(results)
