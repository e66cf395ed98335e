"""Finds DICOM series: those that are volumes, and others. Nothing is passed on that tells of whom or when they are."""

from collections.abc import Sequence
from pathlib import Path, PurePath

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from sslmed.preparation.readers import dicom
from sslmed.preparation.readers.csv_file import names_patient
from sslmed.preparation.survey.image import Image
from sslmed.preparation.survey.remarks import Remarks

PATIENT = "0010|0020"


def find_series(
    name: PurePath, folder: Path, files: Sequence[Path], patients: dict[str, str], remarks: Remarks
) -> list[Image]:
    """Return the volumes of the series whose files are directly in a folder.

    Args:
        name: Path of the folder within the folder of the survey.
        folder: The folder.
        files: The DICOM files in it.
        patients: Patient -> `dicom-1` and so on, as they are met. Nothing else is passed on of them.
        remarks: Gets the series that are no volume, damaged files, and, if there are several series, a list of them.
    """
    series = dicom.list_series(folder)
    damaged = sorted({*files}.difference(*(dicom.series_files(each.path) for each in series)))
    if damaged:
        what = f"is truncated or damaged, as are {len(damaged)} of the folder's files"
        cure = f"copy it again; the {len(series)} series of its folder are left out"
        remarks.problems.append(f"{damaged[0]}: {what}; {cure}")
        return []
    unusable = [each for each in series if each.problem is not None]
    remarks.problems += [f"{each.path}: is not a volume: {each.problem}" for each in unusable]
    usable = [each for each in series if each.problem is None]
    if len(series) == 1:
        return [_image(name, folder, each, patients) for each in usable]
    if usable:
        listed = "; ".join(map(str, series))
        remarks.notes.append(f"{folder} holds {len(series)} series, of which all that are volumes are listed: {listed}")
    return [_image(name / each.path.name, each.path, each, patients) for each in usable]


def _image(name: PurePath, path: Path, series: dicom.Series, patients: dict[str, str]) -> Image:
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
        patient=_patient(first.file, patients),
    )


def _patient(file: Path, numbers: dict[str, str]) -> str:
    """Return what the patient of a DICOM file is called; empty if the file names none."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    identity = reader.GetMetaData(PATIENT).strip() if reader.HasMetaDataKey(PATIENT) else ""
    return numbers.setdefault(identity, f"dicom-{len(numbers) + 1}") if names_patient(identity) else ""
