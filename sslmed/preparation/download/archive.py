"""Datasets that are one file at a public address, checked by an MD5."""

from abc import ABC, abstractmethod
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.preparation.download.transfer import transfer
from sslmed.preparation.readers.dataset import Labels


class Archive(ABC):
    """Base of these datasets.

    Attributes:
        name: Name of the dataset's folder, and of the archive without its suffix.
        suffix: Suffix of the archive.
        licence: Licence of the data, shown before a download and in reports.
        labels: Kind of the labels.
    """

    name: str
    suffix: str
    licence: str
    labels: Labels

    @property
    @abstractmethod
    def url(self) -> str:
        """The archive's address."""

    @property
    @abstractmethod
    def md5(self) -> str:
        """The archive's checksum."""

    @abstractmethod
    def extract(self, archive: Path, folder: Path) -> Path:
        """Extract the archive, which is the published one, into `folder`, and return the dataset's folder in it."""

    @property
    def source(self) -> str:
        """Where a user finds the archive."""
        return f"{self.url} (MD5 {self.md5})"

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
        from monai.apps.utils import check_hash  # takes 7 s

        if not check_hash(archive, self.md5, "md5"):
            raise UserError(f"{archive}: has another MD5 than {self.md5}; delete it and run the same command again")
        return self.extract(archive, folder)
