"""Downloads volumes of 28³ voxels with a class each, of MedMNIST v2: https://medmnist.com."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.core.progress import progress
from sslmed.preparation.download.archive import Archive
from sslmed.preparation.readers.dataset import Labels

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class MedMNIST3D(Archive):
    """Describes a dataset, e.g. `"OrganMNIST3D"`; torchio has its address.

    The published splits are joined, as every experiment makes its own folds. No patients are named: images of one may
    come into different folds.

    Source: Yang et al. 2023, https://doi.org/10.1038/s41597-022-01721-8, with the facts below.

    Args:
        name: Its name.
        licence: Its licence.
        checksum: MD5 of the archive.
        classes: Names of the classes, in the order of their numbers.
    """

    name: str
    licence: str
    checksum: str
    classes: tuple[str, ...]
    suffix: str = ".npz"
    labels: Labels = "class"

    @property
    def md5(self) -> str:
        """The archive's checksum."""
        return self.checksum

    @property
    def url(self) -> str:
        """The archive's address."""
        from torchio.datasets.medmnist import MedMNIST  # takes seconds

        return f"{MedMNIST.BASE_URL}/{self.name.lower()}.npz?download=1"

    def extract(self, archive: Path, folder: Path) -> Path:
        """Write a NIfTI file of each image, and a table of their classes; see `Archive`."""
        import nibabel as nib
        import numpy as np

        from sslmed.preparation.readers.table import write_table

        (folder / "images").mkdir(parents=True)
        rows = [("image", "class")]
        with np.load(archive) as arrays:
            labels = {split: arrays[f"{split}_labels"].ravel() for split in SPLITS}
            with progress(f"extracting {self.name}", sum(map(len, labels.values())), unit="images") as advance:
                for split, of_split in labels.items():
                    for number, (image, label) in enumerate(zip(arrays[f"{split}_images"], of_split, strict=True)):
                        file = f"images/{split}_{number:04}.nii.gz"
                        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / file)  # type: ignore[no-untyped-call]
                        rows.append((file, self.classes[label]))
                        advance()
        write_table(folder, rows)
        return folder
