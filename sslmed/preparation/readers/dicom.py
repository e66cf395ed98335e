"""Lists and opens the DICOM series of a folder by GDCM: https://dicom.nema.org/medical/dicom/current/output/html.

Of a file's metadata only where its slice lies, its modality and the kind of image are read; nothing about the patient.
"""

import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePath
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import DTypeLike, NDArray

from sslmed.core.errors import refuse
from sslmed.preparation.readers.itk import TO_RAS, kind_of_voxels, to_array
from sslmed.preparation.readers.listing import list_folder
from sslmed.preparation.readers.names import find_path
from sslmed.preparation.readers.nifti_header import Affine, NiftiImage, make_header
from sslmed.preparation.readers.voxels import Voxels

UID = re.compile(r"\d+(\.\d+){2,}")
MAGIC = b"DICM"  # after 128 bytes of anything
INDEX = "DICOMDIR"  # a list of the other files
UNEVEN = 0.05  # of the distance of slices, by which one may miss its place: positions are rounded

MODALITY, IMAGE_TYPE, POSITION, ORIENTATION = "0008|0060", "0008|0008", "0020|0032", "0020|0037"
COLOURS = "0028|0004"


@dataclass(frozen=True)
class Slice:
    """One image file of a series. Directions and positions are towards left, posterior, superior, in mm.

    Attributes:
        file: The file.
        modality: As `CT`.
        is_localiser: Whether it is one by its image type.
        is_placed: Whether it says where it lies.
        is_inverted: Whether the least value is white; ITK then inverts the values, also those in Hounsfield units.
        shape: Columns, rows and frames.
        kind: Type of the pixels.
        plane: `(3, 2)`: the steps to the next column and to the next row.
        position: Of the first pixel.
    """

    file: Path
    modality: str
    is_localiser: bool
    is_placed: bool
    is_inverted: bool
    shape: tuple[int, ...]
    kind: DTypeLike
    plane: NDArray[np.float64]
    position: NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A series of a folder.

    Attributes:
        path: Path that names it among others of the folder: `FOLDER/UID`.
        slices: Its slices in their order in space; empty if a file has no image.
        problem: Why it is not a volume; `None` if it is one.
    """

    path: Path
    slices: tuple[Slice, ...]
    problem: str | None

    @property
    def modality(self) -> str:
        """As `CT`; empty if it is unknown."""
        return self.slices[0].modality if self.slices else ""

    @property
    def affine(self) -> Affine:
        """`(4, 4)`, from voxel indices to mm, towards right, anterior and superior; also right for a tilted gantry."""
        affine = np.eye(4)
        first, last = self.slices[0], self.slices[-1]
        affine[:3, :2] = first.plane
        affine[:3, 2] = (last.position - first.position) / (len(self.slices) - 1)
        affine[:3, 3] = first.position
        return TO_RAS @ affine

    def __str__(self) -> str:
        about = self.problem or " x ".join(map(str, (*self.slices[0].shape[:2], len(self.slices))))
        return f"{self.path.name} ({' '.join(filter(None, (self.modality, about)))})"


def is_series(path: Path) -> bool:
    """Return whether a path is a folder, or names a series in one: `FOLDER/UID`."""
    return path.is_dir() or (_is_in_folder(path) and path.parent.is_dir())


def find_series(folder: Path, name: str) -> Path | None:
    """Return the path of a series, given relative to a folder: that of its own folder, or `FOLDER/UID`."""
    path = find_path(folder, name)
    if path is None and UID.fullmatch(PurePath(name).name):
        parent = find_path(folder, str(PurePath(name).parent))
        path = None if parent is None else parent / PurePath(name).name
    return path if path is not None and is_series(path) else None


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM, by its name or its content; it may be damaged."""
    try:
        with path.open("rb") as file:
            is_magic = file.read(132)[128:] == MAGIC
    except OSError:
        is_magic = False
    return path.suffix.lower() == ".dcm" or (is_magic and path.name.upper() != INDEX)


def series_uids(folder: Path) -> list[str]:
    """List the UIDs of the series whose files are directly in a folder. This reads no image."""
    return sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))


def list_series(folder: Path) -> list[Series]:
    """Read the headers of all files directly in a folder, and list the series, also those that are no volume."""
    return [_read_series(folder / uid, files) for uid, files in _by_series(folder).items()]


def series_files(path: Path) -> tuple[Path, ...]:
    """List the files of a series: those of its UID, or those of all series of the folder."""
    if _is_in_folder(path):
        return _by_series(path.parent).get(path.name, ())
    return tuple(sorted(itertools.chain(*_by_series(path).values())))


def open_series(path: Path) -> NiftiImage:
    """Open a series in the form of NIfTI. Its voxels, in Hounsfield units in a CT, are read when they are used.

    Args:
        path: A folder with a single series, or `FOLDER/UID`.

    Raises:
        DataError: If it is not one volume, or a folder holds several series.
    """
    folder = path.parent if _is_in_folder(path) else path
    files = _by_series(folder)
    if not files:
        refuse(path, "holds no DICOM series, and no other image is a folder; give a file, or the series' own folder")
    whole = {*itertools.chain(*files.values())}
    damaged = [file for file in list_folder(folder) if file.is_file() and is_dicom(file) and file not in whole]
    if damaged:
        refuse(damaged[0], f"is truncated or damaged, as are {len(damaged)} of the folder's DICOM files; copy it again")
    if folder == path and len(files) > 1:
        listed = "; ".join(map(str, list_series(folder)))
        refuse(path, f"holds {len(files)} series; name the one to take as FOLDER/UID: {listed}")
    uid = next(iter(files)) if folder == path else path.name
    if uid not in files:
        refuse(path, f"{folder} has no such series; it has {', '.join(files)}")
    series = _read_series(folder / uid, files[uid])
    if series.problem is not None:
        refuse(path, f"is not a volume: {series.problem}")
    shape = (*series.slices[0].shape[:2], len(series.slices))
    header = make_header(shape, series.slices[0].kind, series.affine)
    voxels = Voxels(path, shape, partial(_read_voxels, series))
    return nib.Nifti2Image(voxels, None, header, extra={"modality": series.modality})  # type: ignore[no-untyped-call]


def _is_in_folder(path: Path) -> bool:
    return UID.fullmatch(path.name) is not None and not path.exists()


def _by_series(folder: Path) -> Mapping[str, tuple[Path, ...]]:
    """Return the files of each series of a folder."""
    stats = {file.name: file.stat() for file in list_folder(folder) if file.is_file()}
    return _scan(folder, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()))


@lru_cache(maxsize=16)
def _scan(folder: Path, files: Hashable) -> Mapping[str, tuple[Path, ...]]:  # noqa: ARG001 (changed files are read again)
    """GDCM reads all files of a folder for each series, so a folder is scanned once, not again for each case."""
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames
    return {uid: tuple(sorted(map(Path, names(str(folder), uid)))) for uid in series_uids(folder)}


def _read_series(path: Path, files: Sequence[Path]) -> Series:
    slices = [each for each in map(_read_slice, files) if each is not None]
    if len(slices) < len(files) or not slices:
        return Series(path, (), "files without an image, such as a report or a plan")
    normal = np.cross(*slices[0].plane.T)
    slices.sort(key=lambda each: float(each.position @ normal))
    return Series(path, tuple(slices), _problem(slices))


def _read_slice(file: Path) -> Slice | None:
    """Read what is said of a slice; `None` if the file has no image."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)
    return Slice(
        file=file,
        modality=_text(reader, MODALITY),
        is_localiser="LOCALIZER" in _text(reader, IMAGE_TYPE).upper(),
        is_placed=reader.HasMetaDataKey(POSITION) and reader.HasMetaDataKey(ORIENTATION),
        is_inverted=_text(reader, COLOURS) == "MONOCHROME1",
        shape=(*reader.GetSize(), 1)[:3],
        kind=kind_of_voxels(reader),
        plane=direction[:3, :2] * reader.GetSpacing()[:2],
        position=np.array(reader.GetOrigin()),
    )


def _text(reader: Any, key: str) -> str:  # noqa: ANN401 - SimpleITK is not typed
    return str(reader.GetMetaData(key)).strip() if reader.HasMetaDataKey(key) else ""


def _problem(slices: list[Slice]) -> str | None:
    """Say why slices, in their order in space, are not a volume."""
    first = slices[0]
    if any(each.is_localiser for each in slices):
        return "a localiser"
    if any(each.shape[2] > 1 for each in slices):
        return "a file of several frames, whose places are not read; convert it, e.g. with dcm2niix"
    if not all(each.is_placed for each in slices):
        return "images that do not say where they lie, such as a screenshot or a photograph"
    if any(each.is_inverted for each in slices):
        return "pixels of which the least is white (MONOCHROME1), which cannot be read; convert it, e.g. with dcm2niix"
    if len(slices) == 1:
        return "a single slice"
    if any(each.shape != first.shape or not np.allclose(each.plane, first.plane, atol=1e-3) for each in slices):
        return "slices of different directions, sizes or spacings"
    normal = np.cross(*first.plane.T)
    normal /= np.linalg.norm(normal)
    steps = np.diff([each.position for each in slices], axis=0)
    distances = steps @ normal
    usual = np.median(distances)
    if distances.min() <= UNEVEN * usual:
        return "several slices at one place, as of a time series; split them into one series for each time"
    uneven = np.linalg.norm(steps - np.median(steps, axis=0), axis=1)
    if uneven.max() > UNEVEN * usual:
        gap = distances[uneven.argmax()]
        return f"slices are missing or unequally spaced: {gap:g} mm apart instead of {usual:g} mm; add the others"
    return None


def _read_voxels(series: Series) -> NDArray[Any]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(each.file) for each in series.slices])
    reader.SetOutputPixelType(sitk.sitkFloat32)  # each slice may have its own slope
    return to_array(reader.Execute())
