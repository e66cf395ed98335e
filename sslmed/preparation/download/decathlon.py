"""Downloads archives of the Medical Segmentation Decathlon: http://medicaldecathlon.com, CC BY-SA 4.0."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.preparation.download.archive import Archive
from sslmed.preparation.readers.dataset import Labels


@dataclass(frozen=True)
class Task(Archive):
    """Describes a task, e.g. `"Task07_Pancreas"`; MONAI has its address and checksum.

    Source: Antonelli et al. 2022, https://doi.org/10.1038/s41467-022-30695-9.
    """

    name: str
    suffix: str = ".tar"
    licence: str = "CC BY-SA 4.0, http://medicaldecathlon.com"
    labels: Labels = "map"

    @property
    def md5(self) -> str:
        """The archive's checksum."""
        from monai.apps.datasets import DecathlonDataset  # takes 7 s

        return str(DecathlonDataset.md5[self.name])

    @property
    def url(self) -> str:
        """The archive's address."""
        from monai.apps.datasets import DecathlonDataset

        return str(DecathlonDataset.resource[self.name])

    def extract(self, archive: Path, folder: Path) -> Path:
        """Extract the archive; see `Archive`."""
        from monai.apps.utils import extractall

        extractall(archive, folder, has_base=False)
        return folder / self.name
