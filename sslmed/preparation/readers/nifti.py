"""Opens NIfTI files, and finds whatever a damaged one has wrong: https://nifti.nimh.nih.gov."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
from isal import igzip, isal_zlib
from nibabel.imageglobals import LoggingOutputSuppressor

from sslmed.core.errors import DataError, refuse
from sslmed.preparation.readers.nifti_header import (
    NiftiHeader,
    NiftiImage,
    check_header,
    forms,
)

GZIP_MAGIC = b"\x1f\x8b"
FORMATS: tuple[tuple[Any, slice, bytes], ...] = (
    (nib.Nifti1Image, slice(344, 348), b"n+1\0"),
    (nib.Nifti2Image, slice(4, 8), b"n+2\0"),
)
HEADER = 540  # bytes of the longer header


def open_nifti(path: Path) -> NiftiImage:
    """Parse a file and check its header. Its voxels are in memory and not yet checked.

    Raises:
        DataError: If the file cannot be used.
    """
    content = _read_bytes(path)
    image_class = _image_class(path, content)
    with _parsing(path):
        raw = _raw_header(image_class, content)
        _check_offset(path, raw, len(content))
        image = image_class.from_bytes(content)
        forms(image.header)
    shape, dtype = image.shape, image.get_data_dtype()
    if image.dataobj.offset + math.prod(shape) * dtype.itemsize > len(content):
        refuse(path, f"is truncated: its header promises {shape} voxels of {dtype}; copy or download it again")
    check_header(path, image.header, raw["pixdim"][1:4])
    return image


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read and check the header alone.

    Raises:
        DataError: If it cannot be used.
    """
    content = _read_bytes(path, HEADER)
    image_class = _image_class(path, content)
    with _parsing(path):
        raw = _raw_header(image_class, content)
        header = image_class.header_class(raw.binaryblock)
        forms(header)
    check_header(path, header, raw["pixdim"][1:4])
    return header


def _image_class(path: Path, content: bytes) -> Any:  # noqa: ANN401 - nibabel is not typed to the end
    image_class = next((image_class for image_class, place, magic in FORMATS if content[place] == magic), None)
    if image_class is None:
        refuse(path, "is not a NIfTI file, or cut off within its header; convert it to NIfTI, or copy it again")
    return image_class


def _raw_header(image_class: Any, content: bytes) -> NiftiHeader:  # noqa: ANN401
    """Return the header as the file has it: nibabel silently repairs one that it opens: a spacing of 0 becomes 1."""
    return image_class.header_class(content[: image_class.header_class.sizeof_hdr], check=False)


def _check_offset(path: Path, header: NiftiHeader, n_bytes: int) -> None:
    """Refuse a file whose header gives a place for the voxels that is within the header, or beyond the end."""
    offset, first = float(header["vox_offset"]), header.single_vox_offset
    if not (offset >= first and offset.is_integer()):
        place = f"says that its voxels begin at byte {offset:g} (vox_offset), but the header takes {first} bytes"
        refuse(path, f"{place}; export it again")
    if offset >= n_bytes:
        place = f"its header says that its voxels begin at byte {offset:.0f} (vox_offset)"
        refuse(path, f"is truncated: {place}, but it has {n_bytes} bytes; copy or download it again")


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        with LoggingOutputSuppressor():
            yield
    except DataError:
        raise
    except Exception as error:  # a damaged header makes nibabel raise nearly anything
        refuse(path, f"has a damaged header ({error}); export it again")


def _read_bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(count)
        if content.startswith(GZIP_MAGIC):
            if count < 0:
                # Faster than zlib; it checks CRC and length, which nibabel does not.
                content = igzip.decompress(content)  # type: ignore[no-untyped-call]
            else:
                with igzip.open(path) as unpacked:  # type: ignore[no-untyped-call]
                    content = unpacked.read(count)
    except EOFError:
        refuse(path, "is truncated; copy or download it again")
    except (igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        refuse(path, f"is damaged: its gzip checksum or data is wrong ({error}); copy or download it again")
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror}); check its permissions and the disk")
    if not content:
        refuse(path, "is empty; copy or download it again")
    return content
