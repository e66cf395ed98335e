"""Volumes of generated voxels, written in every format."""

import locale
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

AFFINE = np.array([[-0.8, 0.1, 0, 30], [-0.1, -0.8, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1.0]])
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PATIENT = {"0010|0010": "Nightingale^Florence", "0010|0020": "PID4711", "0010|0030": "18200512"}
DATES = {"0008|0020": "20210309", "0008|0021": "20210309", "0008|0080": "St Thomas Hospital", "0008|0090": "Fowler^Bob"}
UID = "1.2.826.0.1.3680043.9.7"
CLASSES = {name: f"1.2.840.10008.5.1.4.1.1.{number}" for name, number in (("CT", 2), ("MR", 4), ("PT", 128))}
FILES = ("a.nii", "a.nii.gz", "a.hdr", "a.img", "a.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.mgz", "a.mgh", "series")


def scan(number: int = 0) -> np.ndarray:
    """Even numbers of int16, with air and fat as in a CT."""
    voxels = np.random.default_rng(number).integers(-75, 100, (9, 8, 7)).astype(np.int16) * 2
    voxels[:2] = -1000
    return voxels


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, **tags: str) -> None:
    """Write voxels `(I, J, K)` in the format of the path's ending; without one, as the folder of a DICOM series."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name
    if name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(voxels, affine, dtype=voxels.dtype), path)
    elif name.endswith((".hdr", ".img")):
        nib.save(nib.Spm99AnalyzeImage(voxels, affine), path.with_suffix(".hdr"))
    elif name.endswith((".mgz", ".mgh")):
        nib.save(nib.MGHImage(voxels, affine), path)
    elif path.suffix in (".nrrd", ".nhdr", ".mha", ".mhd"):
        sitk.WriteImage(as_itk(voxels, affine), path)
    else:
        write_series(path, voxels, affine, **tags)


def as_itk(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> sitk.Image:
    """The image of ITK."""
    image = sitk.GetImageFromArray(voxels.transpose())
    lps = TO_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def write_series(
    folder: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, uid: str = UID, modality: str = "CT", **tags: str
) -> list[Path]:
    """Write a DICOM series whose values are 2 x stored - 1024, but for MR, and whose files are in no order of space.

    Args:
        folder: Folder, which may hold other series.
        voxels: Even numbers of int16.
        affine: From voxel indices to mm.
        uid: Of the series.
        modality: As DICOM names it.
        tags: Other tags, as `t0008_0008="ORIGINAL\\PRIMARY\\LOCALIZER"`; an empty text leaves one out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps = TO_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    given = {name.removeprefix("t").replace("_", "|"): value for name, value in tags.items()}
    files = []
    before = locale.setlocale(locale.LC_ALL)
    for index in range(voxels.shape[2]):
        image = sitk.GetImageFromArray(voxels[:, :, index].transpose())
        image.SetSpacing(spacing[:2].tolist())
        place = {
            "0020|0037": "\\".join(f"{x:.10g}" for x in (lps[:3, :2] / spacing[:2]).T.ravel()),
            "0020|0032": "\\".join(f"{x:.10g}" for x in lps[:3, 3] + index * lps[:3, 2]),
        }
        kind = {"0008|0060": modality, "0008|0016": CLASSES[modality], "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL"}
        identity = {"0020|000d": "1.2.826.0.1", "0020|000e": uid, "0008|0018": f"{uid}.{index}"}
        rescale = {} if modality == "MR" else {"0028|1052": "-1024", "0028|1053": "2"}  # GDCM: none in a plain MR
        for key, value in {**PATIENT, **DATES, **kind, **identity, **place, **rescale, **given}.items():
            if value:
                image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        files.append(folder / f"{uid[-3:]}_{(7 * index) % 101:03}.dcm")
        writer.SetFileName(str(files[-1]))
        writer.Execute(image)
    locale.setlocale(locale.LC_ALL, before)  # GDCM makes it C, in which open() reads ASCII
    return files
