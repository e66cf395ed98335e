"""Reads one photograph, refuses what would spoil training, and makes it a square, of a fundus around the retina."""

import io
import math
import warnings
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from sslmed.core.errors import DataError
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.settings import PrepareSettings

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
MAGIC = {"PNG": (b"\x89PNG\r\n\x1a\n",), "JPEG": (b"\xff\xd8\xff",), "TIFF": (b"II*\0", b"MM\0*")}
SMALLEST_SIDE = 8  # pixels
SEARCHED_SIDE = 512  # pixels that a shorter side keeps at least, where the retina is looked for
SMALLEST_RETINA = 0.01  # of the photograph's area
SMALLEST_PART = 0.01  # of the largest part's area; less is a hot pixel or a letter
SMEAR = 8  # pixels around such a part that a JPEG, which has blocks of 8, or a smooth edge may have brightened
LARGEST_VALUE = 255  # of a mask, which is kept with 8 bits
MOST_CLASSES = 64  # in one mask; more are smooth edges
PNG_DEPTH = 24  # where a PNG says how many bits a value has

Box = tuple[int, int, int, int]  # left, top, right, bottom; the latter two are the first beyond it


def prepare_photo(path: Path, settings: PrepareSettings) -> tuple[NDArray[np.float16], Geometry]:
    """Read and check a photograph, make it a square and resize it to `(3, size, size)`, from 0 to 1.

    A `plain` photograph is taken whole, in the middle of a black square, so that shapes are kept. A `fundus` is cropped
    to the square around the retina's bounding box, with black beyond the photograph: a retina cut off above and below
    stays round. Brightness is kept: 1 is always the full range of the file's pixels.

    What is brighter than `settings.foreground` beside the retina, apart from it and less than a hundredth as large,
    is painted black: letters, dates and hot pixels, which could give an eye or a camera away. What is dimmer, larger,
    within the retina, or connected to it, as the notch that some cameras have, stays: no mask fits all cameras.

    Returns:
        The image, and how its square lies in the photograph.

    Raises:
        DataError: The file cannot be used.
    """
    photo = _open(path)
    box = (0, 0, *photo.size)
    if settings.photo == "fundus":
        found = _find_retina(photo, 255 * settings.foreground)
        if found is None:
            brighter = (
                f"less than {SMALLEST_RETINA:.0%} of it is brighter than {settings.foreground:g} of the full range"
            )
            _refuse(path, f"shows no retina: {brighter}; leave it out, or lower the setting foreground")
        box, beside = found
        photo.paste("black", mask=beside)
    left, top, right, bottom = _square(*box)
    grid = (settings.size, settings.size)
    # As F.interpolate(antialias=True), which resizes volumes, to a grey level; without torch, and several times faster.
    resized = photo.crop((left, top, right, bottom)).resize(grid, Image.Resampling.BILINEAR)
    channels_first = np.moveaxis(np.asarray(resized, dtype=np.float32), -1, 0)
    geometry = Geometry.of_photograph((photo.height, photo.width), (top, left), right - left, settings.size)
    return np.ascontiguousarray(channels_first / 255, dtype=np.float16), geometry


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read and check a photograph, as it is to be looked at: uint8 `(H, W, 3)` in red, green, blue.

    16 bits become 8, grey becomes three equal channels, and what is transparent becomes black. A file cut off is
    refused; so is damage within a PNG, but not all damage within a JPEG, which has no checksum.

    Raises:
        DataError: The file cannot be used.
    """
    return np.array(_open(path))


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read and check a label map of a photograph: the pixels' values, uint8 `(H, W)`; of a palette, its numbers.

    Args:
        path: A PNG or TIFF of one channel.
        shape: Rows and columns of the photograph.

    Raises:
        DataError: The file cannot be used.
    """
    content = _read_bytes(path)
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in MAGIC if name != "JPEG"]) as image:
            mode, values = image.mode, np.asarray(image)
    except Exception as error:  # a damaged file makes PIL raise nearly anything
        _refuse(path, f"is truncated or damaged ({error}); copy or download it again")
    if values.ndim != 2 or mode == "F":
        _refuse(path, f"is of mode {mode}; a mask holds one whole number for each pixel, as a grey PNG does")
    if values.shape != shape:
        (height, width), (rows, columns) = values.shape, shape
        _refuse(path, f"has {width} x {height} pixels, but its image {columns} x {rows}; they must be of one size")
    if values.max() > LARGEST_VALUE:
        _refuse(path, f"holds {values.max()}; the numbers of classes must be 0 to {LARGEST_VALUE}")
    if (n_values := len(np.unique(values))) > MOST_CLASSES:
        _refuse(path, f"holds {n_values} different values; save it without smooth edges, one number for each class")
    return values.astype(np.uint8)


def _open(path: Path) -> Image.Image:
    content = _read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            photo = _decode(path, content)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _refuse(path, f"has more than {Image.MAX_IMAGE_PIXELS} pixels; reduce it, or check that it is a photograph")
    except DataError:
        raise
    except UnidentifiedImageError:
        _refuse(path, "has a damaged header, or is cut off within it; copy or download it again")
    except Exception as error:  # a damaged file makes PIL raise nearly anything
        _refuse(path, f"is truncated or damaged ({error}); copy or download it again")
    if min(photo.size) < SMALLEST_SIDE:
        width, height = photo.size
        _refuse(path, f"has {width} x {height} pixels, fewer than {SMALLEST_SIDE} along a side; export it larger")
    if photo.getcolors(maxcolors=1) is not None:
        if content.startswith(MAGIC["PNG"]) and content[PNG_DEPTH] == 16 and photo.getpixel((0, 0)) == (0, 0, 0):
            _refuse(path, "is black, as its 16-bit values are all below 256 of 65536; save 8-bit values with 8 bits")
        _refuse(path, f"is constant (every pixel is {photo.getpixel((0, 0))}); export it again, or leave it out")
    return photo


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror}); check its permissions and the disk")
    if not content:
        _refuse(path, "is empty; copy or download it again")
    found = next((name for name, magic in MAGIC.items() if content.startswith(magic)), None)
    expected = FORMATS.get(path.suffix.lower())
    if found is None:
        _refuse(path, "is not a PNG, JPEG or TIFF image, whatever its name; convert it, or leave it out")
    if expected != found:
        _refuse(path, f"holds a {found} image, which its extension denies; rename it")
    return content


def _decode(path: Path, content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=list(MAGIC)) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            _refuse(path, f"holds {frames} images, as an animation does; save the one to use")
        if image.mode == "CMYK":
            _refuse(path, "holds CMYK colours, which depend on a printer; save it as RGB")
        if image.mode == "F":
            _refuse(path, "holds fractional values, whose range is not known; save it with 8 or 16 bits")
        image.verify()  # of a PNG, every chunk's checksum, which reading ignores; the image cannot be used afterwards
    with Image.open(io.BytesIO(content), formats=list(MAGIC)) as image:
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which PIL would clip; of 16-bit colours it keeps the high byte itself
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    return image.convert("RGB")


def _find_retina(photo: Image.Image, threshold: float) -> tuple[Box, Image.Image] | None:
    """Find what is brighter than `threshold` in any channel; `None` if that is too little.

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


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataError([f"{path}: {problem}"])
