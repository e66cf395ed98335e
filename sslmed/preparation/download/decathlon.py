"""Downloads archives of the Medical Segmentation Decathlon: http://medicaldecathlon.com, CC-BY-SA 4.0."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sslmed.core.errors import UserError
from sslmed.preparation.download.transfer import transfer


@dataclass(frozen=True)
class Task:
    """Describes a task; MONAI has its address and checksum.

    Source: Antonelli et al. 2022, https://doi.org/10.1038/s41467-022-30695-9.

    Args:
        name: Name of the task, its archive and the folder in it, e.g. `"Task07_Pancreas"`.
    """

    name: str
    suffix: ClassVar[str] = ".tar"

    @property
    def source(self) -> str:
        """Where a user finds the archive."""
        return f"{self.url} (MD5 {self.md5})"

    @property
    def md5(self) -> str:
        """The archive's checksum."""
        from monai.apps.datasets import DecathlonDataset

        return str(DecathlonDataset.md5[self.name])

    @property
    def url(self) -> str:
        """The archive's address."""
        from monai.apps.datasets import DecathlonDataset  # takes 7 s

        return str(DecathlonDataset.resource[self.name])

    def download(self, archive: Path) -> None:
        """Download the archive, or resume an interrupted download.

        Raises:
            OSError, HTTPException: If the download fails or is incomplete; the received part is kept.
        """
        transfer(self.url, archive)

    def unpack(self, archive: Path, folder: Path) -> Path:
        """Check and extract the archive into `folder`, and return the dataset's folder in it.

        Raises:
            UserError: If the archive is not the published one.
        """
        from monai.apps.utils import check_hash, extractall

        if not check_hash(archive, self.md5, "md5"):
            raise UserError(f"{archive}: has another MD5 than {self.md5}; delete it and run the same command again")
        extractall(archive, folder, has_base=False)
        return folder / self.name
