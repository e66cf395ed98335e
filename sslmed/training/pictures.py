"""Draws inputs and outputs of networks as RGB pictures: pretext tasks, segmentations, confusion matrices."""

from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.utilities.plot import plot_confusion_matrix

Array = NDArray[Any]
Picture = NDArray[np.uint8]
"""`(rows, columns, 3)`."""

GAP = 2
GAP_COLOUR = 128
SMALLEST_SIDE = 96
"""In pixels. Smaller pictures are enlarged here, without the blur of image viewers."""
OPACITY = 0.5
CLASS_COLOURS = np.array([(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167)])
"""Colours of classes 1, 2, …: the palette of Okabe and Ito, which is safe for colour-blind readers."""


def draw_puzzle(image: Array, inputs: Array, *, answer: Array | None = None, of_volume: bool = False) -> Picture:
    """Draw a case, the inputs that a pretext task makes of it and, if the network answers with an image, the answer.

    Args:
        image: The case, `(C, *spatial)`, intensities 0 to 1. A volume is shown as axial slices.
        inputs: See `input_pictures`.
        answer: `(C, *spatial)`, if the network answers with an image.
        of_volume: Whether a 2-D image is an axial slice of a volume.
    """
    inner = input_pictures(inputs, image.ndim - 1, of_volume=of_volume)
    after = [] if answer is None else _slices(answer, 1, of_volume)
    return _beside([*_slices(image, 1, of_volume), *inner, *after])


def input_pictures(inputs: Array, dims: int, *, of_volume: bool = False) -> list[Picture]:
    """Draw the inputs of a network for one case.

    Args:
        inputs: One image `(C, *spatial)`, or P images `(P, C, *spatial)`. If P is the number of cells of a grid, such
            as 9 or 27, they are shown in the grid, row-major; otherwise one by one. Volumes are shown as axial slices.
        dims: Number of spatial axes.
        of_volume: Whether 2-D images are axial slices of volumes.
    """
    if inputs.ndim == dims + 1:
        return _slices(inputs, 1, of_volume)
    grid = round(len(inputs) ** (1 / dims))
    if grid > 1 and grid**dims == len(inputs):
        return _slices(_lay_out(inputs, grid), grid if dims == 3 else 1, of_volume)
    return [picture for each in inputs for picture in _slices(each, 1, of_volume)]


def draw_segmentation(image: Array, truth: Array, prediction: Array) -> Picture:
    """Draw image, truth and prediction side by side; a volume in the axial slice with most true foreground.

    Args:
        image: `(C, *spatial)`, intensities 0 to 1.
        truth: Class indices, `(*spatial)`.
        prediction: Class indices, `(*spatial)`.
    """
    if truth.ndim == 3:
        level = int(np.argmax(np.count_nonzero(truth, axis=(0, 1))))
        image, truth, prediction = (_upright(array[..., level]) for array in (image, truth, prediction))
    background = _coloured(image)
    return _beside([background, *(_overlay(background, labels) for labels in (truth, prediction))])


def draw_confusion(truth: Array, prediction: Array, num_classes: int) -> Picture:
    """Draw the confusion matrix of class indices `(N,)`: true classes in rows, predicted classes in columns."""
    counts = multiclass_confusion_matrix(torch.tensor(prediction), torch.tensor(truth), num_classes)
    figure = Figure(figsize=(4, 4), dpi=100, layout="constrained")
    plot_confusion_matrix(counts, ax=figure.add_subplot(), cmap="Blues")
    return _rendered(figure)


def draw_agreement(truth: Array, prediction: Array) -> Picture:
    """Plot predicted against true values, `(N,)`, with the identity line."""
    figure = Figure(figsize=(4, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlabel="true value", ylabel="predicted value")
    axes.plot([truth.min(), truth.max()], [truth.min(), truth.max()], "--", color="grey")
    axes.scatter(truth, prediction, s=12)
    return _rendered(figure)


def _rendered(figure: Figure) -> Picture:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _slices(image: Array, number: int, of_volume: bool) -> list[Picture]:
    """Return evenly spread axial slices of `(C, *spatial)`; a 2-D image as it is."""
    if image.ndim == 3:
        return [_coloured(_upright(image) if of_volume else image)]
    levels = [(2 * index + 1) * image.shape[-1] // (2 * number) for index in range(number)]
    return [_coloured(_upright(image[..., level])) for level in levels]


def _upright(axial: Array) -> Array:
    """Turn a slice `(..., right, anterior)` for display: anterior at the top, the patient's right on the left."""
    return np.flip(axial, axis=(-2, -1)).swapaxes(-2, -1)


def _coloured(image: Array) -> Picture:
    """Convert an image to RGB: three channels are red, green and blue; otherwise the first channel is grey."""
    channels = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    return (channels.astype(np.float32).clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def _lay_out(patches: Array, grid: int) -> Array:
    """Arrange patches `(grid**d, C, *patch)` in one image `(C, *spatial)`, with gaps within axial slices."""
    dims = patches.ndim - 2
    gaps = [(0, GAP), (0, GAP), (0, 0)][:dims]
    padded = np.pad(patches, [(0, 0), (0, 0), *gaps], constant_values=GAP_COLOUR / 255)
    cells = padded.reshape(*[grid] * dims, *padded.shape[1:])
    order = [dims, *(axis for each in range(dims) for axis in (each, dims + 1 + each))]
    return cells.transpose(order).reshape(padded.shape[1], *(grid * side for side in padded.shape[2:]))


def _overlay(picture: Picture, labels: Array) -> Picture:
    colours = CLASS_COLOURS[(labels.astype(int) - 1) % len(CLASS_COLOURS)]
    blended = picture * (1 - OPACITY) + colours * OPACITY
    return np.where(labels[..., None] > 0, blended, picture).round().astype(np.uint8)


def _beside(pictures: list[Picture]) -> Picture:
    """Join pictures in a row, centred, with gaps; enlarge the row if it is small."""
    rows = max(len(picture) for picture in pictures)
    padded = [_centred(picture, rows) for picture in pictures]
    joined = np.concatenate(padded, axis=1)[:, :-GAP]
    factor = -(-SMALLEST_SIDE // rows)
    return joined.repeat(factor, axis=0).repeat(factor, axis=1)


def _centred(picture: Picture, rows: int) -> Picture:
    missing = rows - len(picture)
    margins = [(missing // 2, missing - missing // 2), (0, GAP), (0, 0)]
    return np.pad(picture, margins, constant_values=GAP_COLOUR)
