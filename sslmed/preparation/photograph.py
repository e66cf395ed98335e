"""Reads one colour photograph, refuses what would spoil training, and crops it to the retina."""

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
from sslmed.preparation.settings import PrepareSettings

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
MAGIC = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff"}
SMALLEST_SIDE = 8  # pixels
SEARCHED_SIDE = 512  # pixels that a shorter side keeps at least, where the retina is looked for
SMALLEST_RETINA = 0.01  # of the photograph's area
SMALLEST_PART = 0.01  # of the largest part's area; less is a hot pixel or a letter
SMEAR = 8  # pixels around such a part that a JPEG, which has blocks of 8, or a smooth edge may have brightened
PNG_DEPTH = 24  # where a PNG says how many bits a value has

Box = tuple[int, int, int, int]  # left, top, right, bottom; the latter two are the first beyond it


def prepare_photo(path: Path, settings: PrepareSettings) -> NDArray[np.float16]:
    """Read and check a photograph, crop it to the retina and resize it to `(3, size, size)`, from 0 to 1.

    The crop is the square around the retina's bounding box, with black beyond the photograph: a retina cut off above
    and below stays round. Brightness is kept: 1 is always the full range of the file's pixels.

    What is brighter than `settings.foreground` beside the retina, apart from it and less than a hundredth as large,
    is painted black: letters, dates and hot pixels, which could give an eye or a camera away. What is dimmer, larger,
    within the retina, or connected to it, as the notch that some cameras have, stays: no mask fits all cameras.

    Raises:
        DataError: The file cannot be used.
    """
    photo = _open(path)
    found = _find_retina(photo, 255 * settings.foreground)
    if found is None:
        brighter = f"less than {SMALLEST_RETINA:.0%} of it is brighter than {settings.foreground:g} of the full range"
        _refuse(path, f"shows no retina: {brighter}; leave it out, or lower the setting foreground")
    box, beside = found
    photo.paste("black", mask=beside)
    grid = (settings.size, settings.size)
    # As F.interpolate(antialias=True), which resizes volumes, to a grey level; without torch, and several times faster.
    resized = photo.crop(_square(*box)).resize(grid, Image.Resampling.BILINEAR)
    channels_first = np.moveaxis(np.asarray(resized, dtype=np.float32), -1, 0)
    return np.ascontiguousarray(channels_first / 255, dtype=np.float16)


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read and check a photograph, as it is to be looked at: uint8 `(H, W, 3)` in red, green, blue.

    16 bits become 8, grey becomes three equal channels, and what is transparent becomes black. A file cut off is
    refused; so is damage within a PNG, but not all damage within a JPEG, which has no checksum.

    Raises:
        DataError: The file cannot be used.
    """
    return np.array(_open(path))


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
        _refuse(path, "is not a PNG or JPEG image, whatever its name; convert it, or leave it out")
    if expected != found:
        _refuse(path, f"holds a {found} image, which its extension denies; rename it")
    return content


def _decode(path: Path, content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=list(MAGIC)) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            _refuse(path, f"holds {frames} images, as an animation does; save the one to use")
        if image.mode == "CMYK":
            _refuse(path, "holds CMYK colours, which depend on a printer; save it as RGB")
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
