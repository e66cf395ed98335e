"""Opens NRRD and MetaImage files by ITK, in the form of NIfTI, and writes label maps."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import DTypeLike, NDArray

from sslmed.core.errors import refuse
from sslmed.preparation.readers.nifti_header import Affine, NiftiImage, make_header
from sslmed.preparation.readers.voxels import Voxels

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what is wrong, the package says itself

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From ITK's and DICOM's left, posterior, superior to right, anterior, superior."""

DATA_FILE = re.compile(rb"^(?:ElementDataFile *= *|data ?file: *)([^\r\n]+)", re.MULTILINE | re.IGNORECASE)
LONGEST_HEADER = 2**16  # bytes
STDERR = Lock()
COLOURS = {3: "RGB", 4: "RGBA"}  # of 8 bits, as MetaImage and NRRD do not tell them from other channels


def open_itk(path: Path) -> NiftiImage:
    """Open a file; its voxels are read when they are used.

    Raises:
        DataError: If its data are in another file, which is absent.
    """
    absent = [file for file in data_files(path) if not file.is_file()]
    if absent:
        refuse(path, f"has its data in {absent[0].name}, which is not beside it; copy both files")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    is_nrrd = path.suffix.lower() in (".nrrd", ".nhdr")
    reader.SetImageIO("NrrdImageIO" if is_nrrd else "MetaImageIO")  # which it finds by endings in lower case only
    with _silent():
        reader.ReadImageInformation()
    components = reader.GetNumberOfComponents()
    shape = (*reader.GetSize(), *((components,) if components > 1 else ()))
    affine = _affine(reader)
    # An NRRD without `space` says nothing; ITK takes it to lie as its axes run.
    identity = np.eye(reader.GetDimension()).ravel()
    is_default = not any(reader.GetOrigin()[:3]) and np.array_equal(reader.GetDirection(), identity)
    placed = not (is_nrrd and is_default) or reader.HasMetaDataKey("NRRD_space")
    header = make_header(shape, kind_of_voxels(reader), affine, placed=placed)
    voxels = Voxels(path, shape, partial(_read, reader))
    return nib.Nifti2Image(voxels, None, header)  # type: ignore[no-untyped-call]


def data_files(path: Path) -> tuple[Path, ...]:
    """Return the file that holds the data of a header, if it is another one. It may be absent."""
    with path.open("rb") as file:
        found = DATA_FILE.search(file.read(LONGEST_HEADER).split(b"\n\n")[0])
    name = found[1].decode(errors="replace").strip() if found else "LOCAL"
    return () if name.upper() == "LOCAL" else (path.parent / name,)


def kind_of_voxels(reader: Any) -> DTypeLike:  # noqa: ANN401 - SimpleITK is not typed
    """Return numpy's type for the voxels of a file whose header was read, or `RGB` or `RGBA`."""
    dtype: np.dtype[Any] = sitk.GetArrayViewFromImage(sitk.Image([1, 1], reader.GetPixelID())).dtype
    return COLOURS.get(reader.GetNumberOfComponents(), dtype) if dtype == np.uint8 else dtype


def to_array(image: Any) -> NDArray[Any]:  # noqa: ANN401
    """Return an image of ITK as `(I, J, K)` or `(I, J, K, C)`, the first axis the fastest, the channels the slowest."""
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    return array.transpose()


def write_labels(path: Path, labels: NDArray[Any], affine: Affine) -> None:
    """Write a label map `(I, J, K)`, which lies where an affine to right, anterior and superior lays it."""
    image = sitk.GetImageFromArray(labels.transpose())
    place = TO_RAS @ affine
    spacing = np.linalg.norm(place[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((place[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(place[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def _read(reader: Any) -> NDArray[Any]:  # noqa: ANN401
    with _silent():
        return to_array(reader.Execute())


@contextmanager
def _silent() -> Iterator[None]:
    """Keep ITK's library for MetaImage from printing what it cannot read, which it also raises."""
    with STDERR, Path(os.devnull).open("w") as nothing:
        kept = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _affine(reader: Any) -> Affine:  # noqa: ANN401
    sides = reader.GetDimension()
    axes = np.reshape(reader.GetDirection(), (sides, sides)) * reader.GetSpacing()
    affine = np.eye(4)
    spatial = slice(min(sides, 3))
    affine[spatial, spatial] = axes[spatial, spatial]
    affine[spatial, 3] = reader.GetOrigin()[spatial]
    return TO_RAS @ affine
