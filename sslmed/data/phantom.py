"""Draws datasets of phantoms in the layouts of real ones, so that everything can be tried without patients' data."""

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sslmed.data.workers import run_in_processes
from sslmed.errors import UserError
from sslmed.files import TEMPORARY, atomic_path, write_text

VERSION = 1  # of what is drawn; a change of one voxel makes it the next
LEAST_SIDE = 16  # voxels
PARAMETERS = "phantom.json"


class _Files(NamedTuple):
    """Where a case's files are, relative to the dataset, and what its random numbers are derived from."""

    image: str
    label: str | None
    stream: tuple[int, int]


def draw_pancreas_dataset(
    out: Path,
    *,
    cases: int,
    unlabelled: int,
    size: tuple[int, int, int] = (80, 80, 40),
    seed: int = 0,
    jobs: int | None = None,
) -> None:
    """Draw abdominal CTs with pancreas and tumour, in the layout of MSD Task07: http://medicaldecathlon.com.

    A case depends on `seed` and its number alone, not on how many there are. Killed at any moment, the same call goes
    on where it was; once all is there, it returns at once. `phantom.json` is written first, and `dataset.json` last.

    Args:
        out: Folder of the dataset: a new or an empty one, or one that was begun with the same arguments.
        cases: Number of labelled cases, in `imagesTr` and `labelsTr`.
        unlabelled: Number of unlabelled cases of the same population, in `imagesTs`.
        size: Voxels of each volume; the field of view stays the same.
        seed: Draws the population.
        jobs: Number of processes; the usable cores by default.

    Raises:
        UserError: If an argument is out of its range, or `out` holds something else or cannot be written.
    """
    if min(cases, unlabelled, seed) < 0 or cases + unlabelled < 1:
        raise UserError(
            "a phantom needs at least one case, and no number below 0; "
            f"got {cases} labelled and {unlabelled} unlabelled cases and seed {seed}"
        )
    if len(size) != 3 or min(size) < LEAST_SIDE:
        raise UserError(f"a phantom's size is three sides of at least {LEAST_SIDE} voxels, got {tuple(size)}")
    parameters = {"version": VERSION, "kind": "pancreas", "cases": cases, "unlabelled": unlabelled}
    parameters |= {"size": list(size), "seed": seed}
    files = [
        *(_Files(f"imagesTr/phantom_{i:04}.nii.gz", f"labelsTr/phantom_{i:04}.nii.gz", (0, i)) for i in range(cases)),
        *(_Files(f"imagesTs/phantom_unlabelled_{i:04}.nii.gz", None, (1, i)) for i in range(unlabelled)),
    ]
    _refuse_other_content(out, parameters)
    if (out / "dataset.json").is_file():
        return
    try:
        _draw(out, parameters, files, jobs)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}: {error.filename})") from error


KINDS = {"pancreas": draw_pancreas_dataset}


def _refuse_other_content(out: Path, parameters: dict[str, Any]) -> None:
    path = out / PARAMETERS
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        differences = [
            f"{key} {found.get(key)} there, {value} now" for key, value in parameters.items() if found.get(key) != value
        ]
        if differences:
            raise UserError(
                f"{out}: holds another phantom ({'; '.join(differences)}); give another folder, or delete this one"
            )
    elif out.exists() and not (out.is_dir() and all(_is_ours(entry) for entry in out.iterdir())):
        raise UserError(f"{out}: exists and is not a phantom; give a new or an empty folder")


def _is_ours(entry: Path) -> bool:
    return entry.name.endswith(TEMPORARY) or entry.name == ".lock"


def _draw(out: Path, parameters: dict[str, Any], files: list[_Files], jobs: int | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / ".lock"):
        _refuse_other_content(out, parameters)  # another process may have come first
        write_text(out / PARAMETERS, json.dumps(parameters))
        for folder in ("imagesTr", "labelsTr", "imagesTs"):
            (out / folder).mkdir(exist_ok=True)
        for leftover in out.glob(f"*/*{TEMPORARY}"):  # of a run that was killed
            leftover.unlink()
        to_do = [case for case in files if not all((out / file).is_file() for file in case[:2] if file is not None)]
        function = partial(_draw_case, out, tuple(parameters["size"]), parameters["seed"])
        run_in_processes(function, to_do, description="drawing phantoms", jobs=jobs)
        write_text(out / "dataset.json", json.dumps(_description(files), indent=1))


def _draw_case(out: Path, size: tuple[int, int, int], seed: int, files: _Files) -> None:
    """Draw one case, in a worker."""
    from sslmed.data.phantom_abdomen import draw_patient, sample_patient

    rng = np.random.default_rng([seed, *files.stream])
    hu, labels, affine = draw_patient(sample_patient(rng), size, rng)
    if files.label is not None:
        _write_nifti(out / files.label, labels, affine)
    _write_nifti(out / files.image, hu, affine)


def _write_nifti(path: Path, voxels: NDArray[Any], affine: NDArray[np.floating[Any]]) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))  # no date: same bytes again


def _description(files: list[_Files]) -> dict[str, Any]:
    labelled = [{"image": f"./{case.image}", "label": f"./{case.label}"} for case in files if case.label is not None]
    unlabelled = [f"./{case.image}" for case in files if case.label is None]
    return {
        "name": "Pancreas phantom",
        "description": "PHANTOM drawn by sslmed, not patients: abdominal CT with pancreas and pancreatic tumour",
        "reference": "sslmed",
        "licence": "CC0-1.0",
        "release": f"{VERSION}.0",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "numTraining": len(labelled),
        "numTest": len(unlabelled),
        "training": labelled,
        "test": unlabelled,
    }
