"""Prepares the subjects of a torchio dataset as a pool for pretraining, from Python."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import torchio
from numpy.typing import NDArray

from sslmed.core.errors import UserError
from sslmed.core.numbers import Count
from sslmed.core.progress import progress
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.table import write_table
from sslmed.preparation.readers.torchio_image import voxels_of
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store


def prepare_subjects(
    subjects: torchio.SubjectsDataset, store: Path, settings: PrepareSettings, jobs: Count | None = None
) -> Store:
    """Prepare the images of a torchio dataset, as `prepare` does those of a folder.

    Its transforms are applied once, here. The images of a subject are the channels; label maps are not read. Beside the
    store, the images need room for the time of the preparation, 4 bytes for each voxel. Called again, it prepares only
    subjects whose images have changed.

    Args:
        subjects: The dataset. A case is called by the number of its subject.
        store: See `prepare`; its name is that of the dataset.
        settings: Settings of the preparation.
        jobs: Number of worker processes, the usable cores by default; with 1, this process does the work.

    Returns:
        The store, for `PoolData(store.root)` or `--data.store`.

    Raises:
        UserError: If a subject has no image, one slice as photographs have, or images on different grids, or the store
            cannot be used.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=store.parent) as temporary:
        folder = Path(temporary) / store.name
        folder.mkdir()
        files = [f"{number:06}.nii" for number in range(len(subjects))]
        with progress("reading", len(files), unit="subjects") as advance:
            for number, file in enumerate(files):
                voxels, affine = _volume(subjects, number)
                image = voxels[0] if len(voxels) == 1 else np.moveaxis(voxels, 0, -1)
                nib.save(nib.Nifti1Image(image.astype(np.float32), affine), folder / file)  # type: ignore[no-untyped-call]
                advance()
        write_table(folder, [("image",), *((file,) for file in files)])
        return prepare(folder, store, settings, jobs, pool=True)


def _volume(subjects: torchio.SubjectsDataset, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        voxels, affine = voxels_of(subjects[number])
    except UserError as error:
        raise UserError(f"subject {number}: {error}") from error
    if 1 in voxels.shape[1:]:
        cure = "photographs are prepared from their folder, by `prepare` or `sslmed prepare`"
        raise UserError(f"subject {number}: has shape {voxels.shape}, one slice; {cure}")
    return voxels, affine
