"""Finds DICOM series: volumes to use, and what is none. Nothing that tells of whom or when they are is passed on."""

from collections.abc import Sequence
from pathlib import Path, PurePath

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from sslmed.preparation.readers import dicom
from sslmed.preparation.survey.image import Image

PATIENT = "0010|0020"


class Patients:
    """Numbers patients in the order in which they are met, so that nothing else is known of them."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}

    def number(self, file: Path) -> str:
        """Return the number of the patient of a DICOM file; empty if the file has none."""
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        identity = reader.GetMetaData(PATIENT).strip() if reader.HasMetaDataKey(PATIENT) else ""
        return self._numbers.setdefault(identity, str(len(self._numbers) + 1)) if identity else ""


def find_series(
    name: PurePath, folder: Path, files: Sequence[Path], patients: Patients, notes: list[str], problems: list[str]
) -> list[Image]:
    """Return the volumes of the series whose files are directly in a folder.

    Args:
        name: Path of the folder within the folder of the survey.
        folder: The folder.
        files: The DICOM files in it.
        patients: Numbers the patients.
        notes: If there are several series, they are listed.
        problems: Series that are no volume, and damaged files, are appended.
    """
    series = dicom.list_series(folder)
    damaged = sorted({*files}.difference(*(dicom.series_files(each.path) for each in series)))
    if damaged:
        cure = f"copy it again; the {len(series)} series of its folder are left out"
        problems.append(f"{damaged[0]}: is truncated or damaged, as are {len(damaged)} of the folder's files; {cure}")
        return []
    problems += [f"{each.path}: is not a volume: {each.problem}" for each in series if each.problem is not None]
    usable = [each for each in series if each.problem is None]
    if len(series) == 1:
        return [_image(name, folder, each, patients) for each in usable]
    if usable:
        listed = "; ".join(map(str, series))
        notes.append(f"{folder} holds {len(series)} series, of which all that are volumes are listed: {listed}")
    return [_image(name / each.uid, each.path, each, patients) for each in usable]


def _image(name: PurePath, path: Path, series: dicom.Series, patients: Patients) -> Image:
    first, affine = series.slices[0], series.affine
    return Image(
        name=name,
        files=(path,),
        format="DICOM",
        shape=(*first.shape[:2], len(series.slices)),
        channels=1,
        spacing=tuple(round(float(length), 4) for length in np.linalg.norm(affine[:3, :3], axis=0)),
        orientation="".join(nib.aff2axcodes(affine)),  # type: ignore[no-untyped-call]
        modality=(series.modality,) * bool(series.modality),
        patient=patients.number(first.file),
    )
