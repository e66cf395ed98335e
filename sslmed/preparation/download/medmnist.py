"""Archives of volumes of 28³ voxels with a class each, of MedMNIST v2: https://medmnist.com.

Source: Yang et al. 2023, https://doi.org/10.1038/s41597-022-01721-8, also of their licences, checksums and classes.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sslmed.core.progress import progress
from sslmed.preparation.download.archive import Archive

SPLITS = ("train", "val", "test")


def medmnist(name: str, licence: str, md5: str, classes: Sequence[str]) -> Archive:
    """Describe a dataset, e.g. `"OrganMNIST3D"`; torchio has its address.

    The published splits are joined, as every experiment makes its own folds. No patients are named: images of one may
    come into different folds.

    Args:
        name: Its name.
        licence: Its licence.
        md5: Checksum of the archive.
        classes: Names of the classes, in the order of their numbers.
    """

    def address() -> tuple[str, str]:
        from torchio.datasets.medmnist import MedMNIST  # takes seconds

        return f"{MedMNIST.BASE_URL}/{name.lower()}.npz?download=1", md5

    return Archive(name, ".npz", licence, "class", address, partial(_extract, classes))


def _extract(classes: Sequence[str], archive: Path, folder: Path) -> Path:
    """Write a NIfTI file of each image, and a table of their classes."""
    import nibabel as nib
    import numpy as np

    from sslmed.preparation.readers.table import write_table

    (folder / "images").mkdir(parents=True)
    rows = [("image", "class")]
    with np.load(archive) as arrays:
        labels = {split: arrays[f"{split}_labels"].ravel() for split in SPLITS}
        with progress(f"extracting {archive.stem}", sum(map(len, labels.values())), unit="images") as advance:
            for split, of_split in labels.items():
                for number, (image, label) in enumerate(zip(arrays[f"{split}_images"], of_split, strict=True)):
                    file = f"images/{split}_{number:04}.nii.gz"
                    nib.save(nib.Nifti1Image(image, np.eye(4)), folder / file)  # type: ignore[no-untyped-call]
                    rows.append((file, classes[label]))
                    advance()
    write_table(folder, rows)
    return folder
