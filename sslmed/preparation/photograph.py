"""Prepares one photograph: crops it to a square, a fundus photograph to the retina, and resizes it."""

import hashlib
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sslmed.core.errors import refuse
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.readers.photographs import open_photo
from sslmed.preparation.settings import PrepareSettings

SEARCHED_SIDE = 512  # pixels that a shorter side keeps at least, where the retina is looked for
SMALLEST_RETINA = 0.01  # of the photograph's area
SMALLEST_PART = 0.01  # of the largest part's area; less is a hot pixel or a letter
SMEAR = 8  # pixels around such a part that a JPEG, which has blocks of 8, or a smooth edge may have brightened

Box = tuple[int, int, int, int]  # left, top, right, bottom; the latter two are the first beyond it


def prepare_photo(path: Path, settings: PrepareSettings) -> tuple[NDArray[np.float16], Geometry]:
    """Read and check a photograph, make it square and resize it.

    A `plain` photograph is placed in the middle of a black square, so that shapes are kept. A `fundus` photograph is
    cropped to the square around the retina's bounding box, with black outside the photograph. So a retina that is cut
    off at the top and bottom stays round. Brightness is kept: 1 is always the full range of the file's pixels.

    Regions beside the retina that are brighter than `settings.foreground` and smaller than a hundredth of it are
    painted black: letters, dates and hot pixels, which could identify an eye or a camera. Regions that are darker,
    larger, within the retina or connected to it, such as the notch of some cameras, are kept.

    Args:
        path: A PNG, JPEG or TIFF file.
        settings: Size in pixels, kind of photograph, and foreground threshold.

    Returns:
        The image `(3, size, size)` in [0, 1], and the position of its square in the photograph.

    Raises:
        DataError: If the file cannot be used.
    """
    return place_photo(open_photo(path), path, settings)


def place_photo(photo: Image.Image, path: Path, settings: PrepareSettings) -> tuple[NDArray[np.float16], Geometry]:
    """Make a photograph that has been read square and resize it; see `prepare_photo`. `path` names it in messages."""
    box = (0, 0, *photo.size)
    if settings.photo == "fundus":
        found = _find_retina(photo, 255 * settings.foreground)
        if found is None:
            brighter = (
                f"less than {SMALLEST_RETINA:.0%} of it is brighter than {settings.foreground:g} of the full range"
            )
            refuse(path, f"shows no retina: {brighter}; leave it out, or lower the setting foreground")
        box, beside = found
        photo.paste("black", mask=beside)
    left, top, right, bottom = _square(*box)
    grid = (settings.size, settings.size)
    # Same as F.interpolate(antialias=True) for volumes, within one grey level; without torch, and several times faster.
    resized = photo.crop((left, top, right, bottom)).resize(grid, Image.Resampling.BILINEAR)
    channels_first = np.moveaxis(np.asarray(resized, dtype=np.float32), -1, 0)
    geometry = Geometry.of_photograph((photo.height, photo.width), (top, left), right - left, settings.size)
    return np.ascontiguousarray(channels_first / 255, dtype=np.float16), geometry


def digest_of_pixels(image: NDArray[np.float16]) -> str:
    """Return the SHA-256 of a prepared photograph, which copies in other formats without losses have as well."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def _find_retina(photo: Image.Image, threshold: float) -> tuple[Box, Image.Image] | None:
    """Find the retina: pixels brighter than `threshold` in any channel; `None` if there are too few.

    Returns:
        Left, top, right and bottom of the retina, and a mask of the small parts beside it, as large as the photograph.
    """
    factor = max(1, min(photo.size) // SEARCHED_SIDE)
    red, green, blue = np.moveaxis(np.asarray(photo.reduce(factor)), -1, 0)
    foreground = np.maximum(np.maximum(red, green), blue) > threshold
    parts, _ = ndimage.label(foreground)
    areas = np.bincount(parts.ravel())
    areas[0] = 0  # the background's
    if areas.sum() < SMALLEST_RETINA * foreground.size:
        return None
    retina = (areas >= SMALLEST_PART * areas.max())[parts]
    rows, columns = (factor * np.flatnonzero(retina.any(axis=axis)) for axis in (1, 0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + factor, int(rows[-1]) + factor)
    beside = ndimage.maximum_filter(foreground & ~retina, 2 * math.ceil(SMEAR / factor) + 1)
    if beside.any():
        beside &= ~ndimage.binary_fill_holes(retina)
    height, width = beside.shape
    mask = Image.fromarray(beside).resize((factor * width, factor * height), Image.Resampling.NEAREST)
    return box, mask.crop((0, 0, *photo.size))


def _square(left: int, top: int, right: int, bottom: int) -> Box:
    side = max(right - left, bottom - top)
    left -= (side - (right - left)) // 2
    top -= (side - (bottom - top)) // 2
    return left, top, left + side, top + side
