"""The straightforward way: one volume after the other, numpy in float32, everything in memory, no layout, no fusing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sslmed.preparation.settings import PrepareSettings

Volume = NDArray[np.float32]  # (C, *spatial)


def prepare_case(files: Sequence[Path], out: Path, settings: PrepareSettings) -> None:
    """Window a CT, turn it to RAS, crop it to the body, resize it to a cube; write image and label."""
    image, label = files
    scan: Any = nib.as_closest_canonical(nib.load(image))  # type: ignore[no-untyped-call]
    labels: Any = nib.as_closest_canonical(nib.load(label))  # type: ignore[no-untyped-call]
    low, high = settings.hu_window
    voxels = np.clip((scan.get_fdata() - low) / (high - low), 0, 1).astype(np.float32)
    box = np.argwhere(voxels > settings.foreground)
    crop = tuple(map(slice, box.min(0), box.max(0) + 1))
    out.mkdir(parents=True)
    np.save(out / "image.npy", resize(voxels[crop], settings.size)[None])
    np.save(out / "label.npy", resize_labels(labels.get_fdata()[crop].astype(np.uint8), settings.size))


def resize(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resize `(*spatial)` to a cube as `skimage.transform.resize(order=1, anti_aliasing=True)` does."""
    factors = np.array(image.shape) / side
    smooth = ndimage.gaussian_filter(image, np.maximum(0, (factors - 1) / 2), mode="mirror")
    resized: NDArray[np.float32] = ndimage.zoom(smooth, 1 / factors, order=1, mode="mirror", grid_mode=True)
    return resized


def resize_labels(labels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize `(*spatial)` to a cube by nearest neighbours, as `skimage.transform.resize(order=0)` does."""
    factors = side / np.array(labels.shape)
    resized: NDArray[np.uint8] = ndimage.zoom(labels, factors, order=0, mode="mirror", grid_mode=True)
    return resized


def one_hot(label: NDArray[np.uint8], num_classes: int) -> NDArray[np.float64]:
    """Turn class indices `(*spatial)` into `(K, *spatial)`."""
    return np.stack([(label == index).astype(np.float64) for index in range(num_classes)])


def load(folders: Sequence[Path], num_classes: int) -> tuple[list[Volume], list[NDArray[np.float64]]]:
    """Read prepared cases into memory: images as float32, labels one-hot as float64."""
    images = [np.load(folder / "image.npy").astype(np.float32) for folder in folders]
    labels = [one_hot(np.load(folder / "label.npy"), num_classes) for folder in folders]
    return images, labels


def segmentation_loss(logits: Any, targets: Any) -> Any:  # noqa: ANN401 - torch is not imported where it is not needed
    """Soft Dice over the foreground classes of the batch, plus cross-entropy, of one-hot targets `(B, K, *spatial)`."""
    probabilities = logits.softmax(1)
    axes = [0, *range(2, logits.ndim)]
    overlap = (probabilities * targets).sum(axes)
    dice = (2 * overlap + 1e-5) / (probabilities.sum(axes) + targets.sum(axes) + 1e-5)
    cross_entropy = -(targets * logits.log_softmax(1)).sum(1).mean()
    return 1 - dice[1:].mean() + cross_entropy
