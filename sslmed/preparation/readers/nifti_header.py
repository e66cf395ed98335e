"""Checks the header of a NIfTI file, and reads where it says that the voxels lie: https://nifti.nimh.nih.gov.

A header has two forms of its affine, each with a code; 0 says that the form is not used. As nibabel does, this package
takes the sform if there is one, else the qform. ITK takes the qform in some of these cases. A header with neither
form is read as ITK reads it: the axes run to the left, to the back and up, from an origin at 0. (nibabel's guess is
another: left, front and up, with the origin in the middle.)
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import DTypeLike, NDArray

from sslmed.core.errors import refuse

NiftiImage = Any  # nibabel is not typed to the end
NiftiHeader = Any
Affine = NDArray[np.float64]

POSITION = (
    *("pixdim", "xyzt_units"),
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
"""Fields that say where the voxels lie."""

OTHER_UNITS = {1: "metres", 3: "microns"}  # xyzt_units; 2 is mm, 0 unknown
EXTENTS = (2.0, 5000.0)  # mm along the longest side; a scan of a finger, and of more than a whole body
THICKEST = 100.0  # mm along one voxel


def forms(header: NiftiHeader) -> list[Affine]:
    """Return all affines `(4, 4)`, from voxel indices to mm, that a reader may take, the one to use first.

    Without a form these are ITK's guess and nibabel's.
    """
    sform, qform = header.get_sform(coded=True)[0], None
    try:
        qform = header.get_qform(coded=True)[0]
    except ValueError:  # an impossible rotation, which nobody looks at if there is an sform
        if sform is None:
            raise
    stated = [form for form in (sform, qform) if form is not None]
    if stated:
        return stated
    return [np.diag([-1, -1, 1, 1]) * np.append(header["pixdim"][1:4], 1.0), header.get_base_affine()]


def position(header: NiftiHeader) -> dict[str, Any]:
    """Return the fields of `POSITION` as JSON values; floats are preserved exactly."""
    return {name: header[name].tolist() for name in POSITION}


def has_form(fields: dict[str, Any]) -> bool:
    """Return whether a header, or its `position`, has an affine."""
    return bool(fields["sform_code"] > 0 or fields["qform_code"] > 0)


def mask_image(labels: NDArray[Any], affine: Affine, fields: dict[str, Any]) -> NiftiImage:
    """Return a mask whose header says the same about its place as that of its image.

    So every reader lays the mask where it lays the image, whichever form it takes. Masks are always NIfTI-1, which
    all programs read.

    Args:
        labels: `(I, J, K)`.
        affine: `(4, 4)`, which is used if there are no fields.
        fields: `position` of the image's header; empty if it is unknown.
    """
    header: NiftiHeader = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(labels.dtype)
    header.set_data_shape(labels.shape)
    for name, value in fields.items():
        header[name] = value
    return nib.Nifti1Image(labels, header.get_best_affine() if fields else affine, header)  # type: ignore[no-untyped-call]


def make_header(shape: Sequence[int], kind: DTypeLike, affine: Affine, *, placed: bool = True) -> NiftiHeader:
    """Return what a NIfTI file of a volume of another format would say: NIfTI-2, in double precision as the others.

    Args:
        shape: `(I, J, K)`, or with channels `(I, J, K, C)`.
        kind: Type of the voxels, or `"RGB"`.
        affine: `(4, 4)`, from voxel indices to mm, towards right, anterior and superior.
        placed: Whether the file says where its voxels lie. Otherwise the affine gives their size alone.
    """
    header: NiftiHeader = nib.Nifti2Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(kind)
    header.set_data_shape(shape)
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header.set_xyzt_units("mm")
    if placed:
        header.set_sform(affine, code="scanner")
        with suppress(nib.spatialimages.HeaderDataError):  # it cannot hold the tilt of a gantry
            header.set_qform(affine, code="scanner", strip_shears=False)
    return header


def check_header(path: Path, header: NiftiHeader, spacing: Sequence[float]) -> None:
    """Refuse a file that holds no volume of numbers, or whose place in space is impossible.

    Args:
        path: The file, for the message.
        header: Its header, as nibabel parsed it.
        spacing: Voxel size in the header, before nibabel repaired it.

    Raises:
        DataError: In this case.
    """
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if dtype.kind not in "iuf":
        kind = "complex" if dtype.kind == "c" else "RGB"
        refuse(path, f"holds {kind} voxels; convert it to one real number per voxel and channel")
    if len(shape) < 3 or min(shape[:3]) < 2:
        refuse(path, f"has shape {shape}, fewer than 3 spatial dimensions or one slice; give a volume")
    if math.prod(shape[4:]) != 1 or min(shape) < 1:
        refuse(path, f"has shape {shape}, more than 4 dimensions; give (I, J, K) or (I, J, K, channels)")
    if not (np.isfinite(spacing).all() and all(spacing)):
        refuse(path, f"has a zero or NaN spacing {tuple(map(float, spacing))} mm; set pixdim to the true voxel size")
    affine = forms(header)[0]
    directions = affine[:3, :3]
    if (
        not np.isfinite(affine).all()
        or abs(np.linalg.det(directions)) <= 1e-6 * np.linalg.norm(directions, axis=0).prod()
    ):
        refuse(path, "has a singular or NaN affine; export it again with its orientation")
    units = int(header["xyzt_units"]) & 7
    if units in OTHER_UNITS:
        cure = "convert its spacing and affine to mm, and set xyzt_units to 2"
        refuse(path, f"is measured in {OTHER_UNITS[units]} (xyzt_units is {units}); {cure}")
    for name, lengths in (("pixdim", np.abs(spacing)), ("affine", np.linalg.norm(directions, axis=0))):
        _check_size(path, name, lengths, shape[:3])


def _check_size(path: Path, name: str, lengths: NDArray[Any], shape: Sequence[int]) -> None:
    """Refuse a size that no scan has. It is nearly always one in metres or microns."""
    extents = lengths * shape
    if extents.max() < EXTENTS[0] or extents.max() > EXTENTS[1] or lengths.max() > THICKEST:
        extent, voxel = (" x ".join(f"{length:.3g}" for length in each) for each in (extents, lengths))
        cure = "it must be in mm, with xyzt_units 2, not in metres or microns; correct its header"
        refuse(path, f"would measure {extent} mm, in voxels of {voxel} mm, by its {name}; {cure}")
