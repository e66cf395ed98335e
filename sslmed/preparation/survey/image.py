"""What the header of an image says. Voxels are not read."""

import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from PIL import Image as Pillow

from sslmed.core.errors import DataError
from sslmed.preparation.readers import formats
from sslmed.preparation.readers.names import NIFTI, VOLUMES, strip_extension
from sslmed.preparation.readers.photographs import FORMATS


@dataclass(frozen=True)
class Image:
    """Describes an image or a label map.

    Args:
        name: Its path within the folder, without the number of the channel if each channel is a file.
        files: Its path, or one for each channel: a file, or a DICOM series, as `readers.formats` takes them.
        format: Name of the file format.
        shape: Voxels along each axis, or rows and columns.
        channels: Number of channels; 3 for photographs, also for grey ones, which are read so.
        spacing: mm along each axis; empty for photographs.
        orientation: Where the axes run to, as RAS; empty for photographs.
        modality: Name of each channel, as `CT`, if the header or the layout says it; else empty.
        patient: Of whom it is; empty if unknown.
    """

    name: PurePath
    files: tuple[Path, ...]
    format: str
    shape: tuple[int, ...]
    channels: int
    spacing: tuple[float, ...] = ()
    orientation: str = ""
    modality: tuple[str, ...] = ()
    patient: str = ""

    @property
    def dims(self) -> Literal[2, 3]:
        """3 for volumes, 2 for photographs."""
        return 3 if len(self.shape) == 3 else 2

    @property
    def n_voxels(self) -> int:
        """Number of values in all channels."""
        return math.prod(self.shape) * self.channels


def read_header(name: PurePath, path: Path) -> Image:
    """Read and check what the header of a volume or a photograph says, and whether the file is long enough.

    Args:
        name: Path within the folder.
        path: The file.

    Raises:
        DataError: If the image cannot be used.
    """
    return _volume(name, path) if name.name.lower().endswith(VOLUMES) else _photograph(name, path)


def _volume(name: PurePath, path: Path) -> Image:
    header = formats.read_header(path)
    ending = name.name.lower()[len(strip_extension(name.name, VOLUMES)) :]
    end = gzip_trailer(path)
    length = path.stat().st_size if end is None else int.from_bytes(end[4:], "little")
    promised = math.prod(header.shape) * header.channels * np.dtype(header.dtype).itemsize
    if ending in NIFTI and length < promised % 2**32:
        formats.open_volume(path)  # says what is wrong, if anything is
    spacing = tuple(round(length, 4) for length in header.spacing)
    return Image(name, (path,), ending, header.shape, header.channels, spacing, header.orientation)


def gzip_trailer(path: Path) -> bytes | None:
    """Return the end of a gzip file: checksum and length, modulo 2^32, of its content. `None` for other files."""
    if path.suffix.lower() != ".gz":
        return None
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        return file.read()


def _photograph(name: PurePath, path: Path) -> Image:
    try:
        with Pillow.open(path, formats=[*FORMATS.values()]) as photo:
            found, shape = "JPEG" if photo.format == "MPO" else photo.format, (photo.height, photo.width)
    except Exception as error:  # a damaged file makes PIL raise nearly anything
        raise DataError([f"{path}: is truncated or damaged ({error}); copy or download it again"]) from error
    if found != FORMATS[name.suffix.lower()]:
        raise DataError([f"{path}: holds a {found} image, which its extension denies; rename it"])
    return Image(name, (path,), name.suffix.lower(), shape, channels=3)
