"""Generates datasets of volumes in the layout of MSD: http://medicaldecathlon.com."""

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sslmed.core.errors import UserError
from sslmed.core.files import atomic_path
from sslmed.phantoms.files import check_numbers, write_phantom

LEAST_SIDE = 16  # voxels

Size: TypeAlias = tuple[int, int, int]
Scan: TypeAlias = tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.floating[Any]]]  # image, labels, affine


class _Case(NamedTuple):
    """Describes a case to generate: its files, relative to the dataset, and the origin of its random numbers."""

    image: str
    label: str | None
    stream: tuple[int, int]

    @property
    def files(self) -> list[str]:
        return [self.image] if self.label is None else [self.image, self.label]


def draw_pancreas_dataset(
    out: Path, *, cases: int, unlabelled: int, size: Size = (80, 80, 40), seed: int = 0, jobs: int | None = None
) -> None:
    """Generate abdominal CTs with pancreas and tumour, like those of MSD Task07.

    A case depends only on `seed` and its number, not on the number of cases.

    Args:
        out: Folder of the dataset; see `sslmed.phantoms.files.write_phantom`.
        cases: Number of labelled cases, in `imagesTr` and `labelsTr`.
        unlabelled: Number of unlabelled cases of the same population, in `imagesTs`.
        size: Voxels of each volume; the field of view is always the same.
        seed: Seed of the population.
        jobs: Number of worker processes, the usable cores by default; with 1, this process does the work.

    Raises:
        UserError: If an argument is out of range, or `out` has other content or cannot be written.
    """
    description = {
        "name": "Pancreas phantom",
        "description": "PHANTOM drawn by sslmed, not patients: abdominal CT with pancreas and pancreatic tumour",
        "reference": "sslmed",
        "licence": "CC0-1.0",
        "release": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
    }
    parameters = {"version": 1, "kind": "pancreas", "cases": cases, "unlabelled": unlabelled}
    _draw_volumes(out, parameters | {"size": list(size), "seed": seed}, _scan_abdomen, description, jobs)


def draw_brain_dataset(
    out: Path, *, cases: int, unlabelled: int, size: Size = (64, 64, 48), seed: int = 0, jobs: int | None = None
) -> None:
    """Generate brain MRIs in four channels with a glioma, like those of MSD Task01.

    For arguments and errors see `draw_pancreas_dataset`.
    """
    description = {
        "name": "Brain tumour phantom",
        "description": "PHANTOM drawn by sslmed, not patients: brain MRI with glioma, skull stripped",
        "reference": "sslmed",
        "licence": "CC0-1.0",
        "release": "1.0",
        "tensorImageSize": "4D",
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
    }
    parameters = {"version": 1, "kind": "brain", "cases": cases, "unlabelled": unlabelled}
    _draw_volumes(out, parameters | {"size": list(size), "seed": seed}, _scan_head, description, jobs)


def _draw_volumes(
    out: Path,
    parameters: dict[str, Any],
    scan: Callable[[Size, Generator], Scan],
    description: dict[str, Any],
    jobs: int | None,
) -> None:
    cases, unlabelled, size, seed = (parameters[name] for name in ("cases", "unlabelled", "size", "seed"))
    check_numbers(cases, unlabelled, seed)
    if len(size) != 3 or min(size) < LEAST_SIDE:
        raise UserError(f"a phantom's size is three sides of at least {LEAST_SIDE} voxels, got {tuple(size)}")
    files = [
        *(_Case(f"imagesTr/phantom_{i:04}.nii.gz", f"labelsTr/phantom_{i:04}.nii.gz", (0, i)) for i in range(cases)),
        *(_Case(f"imagesTs/phantom_unlabelled_{i:04}.nii.gz", None, (1, i)) for i in range(unlabelled)),
    ]
    description |= {
        "numTraining": cases,
        "numTest": unlabelled,
        "training": [{"image": f"./{case.image}", "label": f"./{case.label}"} for case in files[:cases]],
        "test": [f"./{case.image}" for case in files[cases:]],
    }
    draw = partial(_draw_case, out, scan, tuple(size), seed)
    write_phantom(out, parameters, files, draw, index={"dataset.json": json.dumps(description, indent=1)}, jobs=jobs)


def _draw_case(out: Path, scan: Callable[[Size, Generator], Scan], size: Size, seed: int, case: _Case) -> None:
    """Generate one case in a worker."""
    image, labels, affine = scan(size, np.random.default_rng([seed, *case.stream]))
    if case.label is not None:
        _write_nifti(out / case.label, labels, affine)
    _write_nifti(out / case.image, image, affine)


def _scan_abdomen(size: Size, rng: Generator) -> Scan:
    from sslmed.phantoms.abdomen import draw_patient, sample_patient  # scipy takes a while to import

    return draw_patient(sample_patient(rng), size, rng)


def _scan_head(size: Size, rng: Generator) -> Scan:
    from sslmed.phantoms.brain import draw_head
    from sslmed.phantoms.head import sample_head

    return draw_head(sample_head(rng), size, rng)


def _write_nifti(path: Path, voxels: NDArray[Any], affine: NDArray[np.floating[Any]]) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))  # no date: same bytes again
