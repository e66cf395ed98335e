"""Reads and checks one photograph, or its label map: PNG, JPEG or TIFF."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from sslmed.core.errors import refuse
from sslmed.preparation.readers.voxels import reading

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
MAGIC = {"PNG": (b"\x89PNG\r\n\x1a\n",), "JPEG": (b"\xff\xd8\xff",), "TIFF": (b"II*\0", b"MM\0*")}
SMALLEST_SIDE = 8  # pixels
LARGEST_VALUE = 255  # of a mask, which is kept with 8 bits
MOST_CLASSES = 64  # in one mask; more are smooth edges
PNG_DEPTH = 24  # where a PNG says how many bits a value has
TIFF_DEPTH, TIFF_COLOURS = 258, 262  # the tags of TIFF that say it, and what values mean: 0 that the least is white
DARKEST = 2**14  # brightest of 65536 values that a photograph has at least; only its high byte is kept


def open_photo(path: Path) -> Image.Image:
    """Read and check a photograph.

    Of a JPEG file with several pictures (MPO) the first is read. 16 bits become 8, grey becomes three equal channels,
    and transparent pixels become black. Truncated files and damaged PNG files are rejected. Not all damage of a JPEG
    file is found, as it has no checksum.

    Returns:
        The photograph in RGB, turned as its EXIF says.

    Raises:
        DataError: If the file cannot be used.
    """
    with reading(path):
        image, n_bits = _load(path)
        if image.mode in ("CMYK", "LAB"):
            refuse(path, f"holds {image.mode} colours; save it as RGB")
        if image.mode == "F":
            refuse(path, "holds fractional values, whose range is not known; save it with 8 or 16 bits")
        if image.mode.startswith("I") and _inverts(image):  # PIL inverts 8 bits alone
            refuse(path, "says that 0 is white; save it with 0 as black")
        if image.mode == "I" and not 0 <= (pixels := np.asarray(image)).min() <= pixels.max() < 2**16:
            found = f"holds values from {pixels.min()} to {pixels.max()}, not of 16 bits"
            refuse(path, f"{found}; save it with 8 or 16 bits")
        photo = _to_rgb(ImageOps.exif_transpose(image))
    if n_bits > 8 and np.asarray(photo).max() < DARKEST // 256:
        what = f"holds 16-bit values that are all below {DARKEST} of 65536, as cameras of 12 bits give them"
        refuse(path, f"{what}; scale them to 65535, or save 8-bit values with 8 bits")
    if min(photo.size) < SMALLEST_SIDE:
        width, height = photo.size
        refuse(path, f"has {width} x {height} pixels, fewer than {SMALLEST_SIDE} along a side; export it larger")
    if photo.getcolors(maxcolors=1) is not None:
        refuse(path, f"is constant (every pixel is {photo.getpixel((0, 0))}); export it again, or leave it out")
    return photo


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read and check a photograph for display; see `open_photo`.

    Returns:
        uint8 `(H, W, 3)`: red, green, blue.

    Raises:
        DataError: If the file cannot be used.
    """
    return np.array(open_photo(path))


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read and check the label map of a photograph.

    Args:
        path: A PNG or TIFF file with one channel.
        shape: Rows and columns of the photograph.

    Returns:
        Pixel values, or indices of a palette, uint8 `(H, W)`; turned as its EXIF says, as photographs are.

    Raises:
        DataError: If the file cannot be used.
    """
    with reading(path):
        image, _ = _load(path)
        if image.mode != "1" and _inverts(image):  # PIL reads 1 bit as colours: white is 1, as what masks mark
            cure = "save it with 0 as black (in ImageJ by Invert LUT), or as PNG"
            refuse(path, f"says that 0 is white, so its numbers may be meant the other way round; {cure}")
        mode, values = image.mode, np.asarray(ImageOps.exif_transpose(image))
    if values.ndim != 2 or mode == "F":
        refuse(path, f"is of mode {mode}; a mask holds one whole number for each pixel, as a grey PNG does")
    if values.shape != shape:
        (height, width), (rows, columns) = values.shape, shape
        refuse(path, f"has {width} x {height} pixels, but its image {columns} x {rows}; they must be of one size")
    for extreme in (values.min(), values.max()):
        if not 0 <= extreme <= LARGEST_VALUE:
            refuse(path, f"holds {extreme}; the numbers of classes must be 0 to {LARGEST_VALUE}")
    if (n_values := len(np.unique(values))) > MOST_CLASSES:
        refuse(path, f"holds {n_values} different values; save it without smooth edges, one number for each class")
    return values.astype(np.uint8)


def _load(path: Path) -> tuple[Image.Image, int]:
    """Read the only image of a file, and how many bits a value has."""
    content = _read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=list(MAGIC))
            # Cameras add smaller pictures to a photograph (MPO), whose first is the photograph itself.
            if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
                refuse(path, f"holds {frames} images, as an animation does; save the one to use")
            image.verify()  # every checksum of a PNG, which reading ignores; the image cannot be used afterwards
            image = Image.open(io.BytesIO(content), formats=list(MAGIC))
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        refuse(path, f"has more than {Image.MAX_IMAGE_PIXELS} pixels; reduce it, or check that it is a photograph")
    except UnidentifiedImageError:
        refuse(path, "has a damaged header, or is cut off within it; copy or download it again")
    return image, _n_bits(image, content)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror}); check its permissions and the disk")
    if not content:
        refuse(path, "is empty; copy or download it again")
    found = next((name for name, magic in MAGIC.items() if content.startswith(magic)), None)
    expected = FORMATS.get(path.suffix.lower())
    if found is None:
        refuse(path, "is not a PNG, JPEG or TIFF image, whatever its name; convert it, or leave it out")
    if expected != found:
        refuse(path, f"holds a {found} image, which its extension denies; rename it")
    return content


def _n_bits(image: Image.Image, content: bytes) -> int:
    """Return the bits of a value in a file."""
    if image.format == "PNG":
        return content[PNG_DEPTH]
    return max(image.tag_v2.get(TIFF_DEPTH, (8,))) if isinstance(image, TiffImageFile) else 8


def _inverts(image: Image.Image) -> bool:
    """Return whether the least value of a file is white."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(TIFF_COLOURS) == 0


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which PIL would clip; of 16-bit colours it keeps the high byte itself
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    return image.convert("RGB")
