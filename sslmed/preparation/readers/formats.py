"""Opens a volume of any format as if it were NIfTI: so all formats go through the same checks.

Analyze and MGH are read by nibabel, NRRD and MetaImage by ITK, and DICOM series by GDCM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.imageglobals import LoggingOutputSuppressor

from sslmed.preparation.readers import dicom, itk
from sslmed.preparation.readers.names import ANALYZE, FREESURFER, ITK
from sslmed.preparation.readers.nifti import open_nifti, read_nifti_header
from sslmed.preparation.readers.nifti_header import NiftiImage, check_header, forms, make_header
from sslmed.preparation.readers.voxels import Voxels, reading


@dataclass(frozen=True)
class Header:
    """What a volume's header says.

    Attributes:
        shape: `(I, J, K)`.
        channels: Number of channels, or of times.
        spacing: Voxel size in mm.
        orientation: Where the axes run to, as `LPS`, by the closest direction.
        dtype: Type of the voxels in the file.
        modality: As DICOM names it: `CT`, `MR`; `None` in other formats.
    """

    shape: tuple[int, ...]
    channels: int
    spacing: tuple[float, ...]
    orientation: str
    dtype: str
    modality: str | None


def open_volume(path: Path) -> NiftiImage:
    """Open a volume, and check its header. Voxels may be read later, when they are used.

    Args:
        path: A file, the folder of a DICOM series, or `FOLDER/UID` for one of several series.

    Returns:
        An image of nibabel, whose `extra` has the `modality` of a DICOM series.

    Raises:
        DataError: If the volume cannot be used.
    """
    opener = _opener(path)
    if opener is None:
        return open_nifti(path)
    with reading(path):
        image = opener(path)
    check_header(path, image.header, image.header["pixdim"][1:4])
    return image


def read_header(path: Path) -> Header:
    """Read and check what a volume's header says, without its voxels. For the path see `open_volume`.

    Raises:
        DataError: If the header cannot be used.
    """
    image = None if _opener(path) is None else open_volume(path)
    header = read_nifti_header(path) if image is None else image.header
    shape = header.get_data_shape()
    affine = forms(header)[0]
    return Header(
        shape=tuple(shape[:3]),
        channels=int(np.prod(shape[3:], dtype=int)),
        spacing=tuple(map(float, np.linalg.norm(affine[:3, :3], axis=0))),
        orientation="".join(nib.aff2axcodes(affine)),  # type: ignore[no-untyped-call]
        dtype=str(header.get_data_dtype()),
        modality=None if image is None else image.extra.get("modality"),
    )


def source_files(path: Path) -> tuple[Path, ...]:
    """List the files that a volume consists of. For the path see `open_volume`."""
    name = path.name.lower()
    if dicom.is_series(path):
        return dicom.series_files(path)
    if name.endswith(ANALYZE):
        endings = (*ANALYZE, ".mat", *map(str.upper, ANALYZE))
        return tuple(file for ending in endings if (file := path.with_suffix(ending)).is_file())
    return (path, *filter(Path.is_file, itk.data_files(path))) if name.endswith(ITK) else (path,)


def _opener(path: Path) -> Callable[[Path], NiftiImage] | None:
    name = path.name.lower()
    openers = {ANALYZE: _open_analyze, FREESURFER: _open_freesurfer, ITK: itk.open_itk}
    found = [opener for endings, opener in openers.items() if name.endswith(endings)]
    return dicom.open_series if dicom.is_series(path) else next(iter(found), None)


def _open_analyze(path: Path) -> NiftiImage:
    """Open an Analyze or SPM file, or a NIfTI pair. Analyze files do not say where they lie, but those of SPM may."""
    with LoggingOutputSuppressor():
        image: NiftiImage = nib.load(path)
    if isinstance(image, nib.Nifti1Pair):
        opened = nib.Nifti1Image(_voxels(path, image), None, image.header)  # type: ignore[no-untyped-call]
    else:
        placed = not np.allclose(image.affine, image.header.get_base_affine())
        opened = _as_nifti(path, image, placed=placed)
    with image.file_map["header"].get_prepare_fileobj("rb") as file:
        raw = image.header_class.from_fileobj(file, check=False)
    opened.header["pixdim"][1:4] *= raw["pixdim"][1:4] != 0  # nibabel makes a spacing of 0 one of 1
    return opened


def _open_freesurfer(path: Path) -> NiftiImage:
    return _as_nifti(path, nib.load(path), placed=True)


def _as_nifti(path: Path, image: NiftiImage, *, placed: bool) -> NiftiImage:
    header = make_header(image.shape, image.get_data_dtype(), image.affine, placed=placed)
    return nib.Nifti2Image(_voxels(path, image), None, header)  # type: ignore[no-untyped-call]


def _voxels(path: Path, image: NiftiImage) -> Voxels:
    return Voxels(path, image.shape, lambda: np.asanyarray(image.dataobj))
