"""Datasets that are one file at a public address, checked by an MD5."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.preparation.download.transfer import transfer
from sslmed.preparation.readers.dataset import Labels


@dataclass(frozen=True)
class Archive:
    """Describes one of these datasets.

    Args:
        name: Name of the dataset's folder, and of the archive without its suffix.
        suffix: Suffix of the archive.
        licence: Licence of the data, shown before a download and in reports.
        labels: Kind of the labels.
        address: Returns the archive's URL and MD5, which packages know that take seconds to import.
        extract: Extracts the published archive into a folder, and returns the dataset's folder in it.
    """

    name: str
    suffix: str
    licence: str
    labels: Labels
    address: Callable[[], tuple[str, str]]
    extract: Callable[[Path, Path], Path]

    @property
    def source(self) -> str:
        """Where a user finds the archive."""
        url, md5 = self.address()
        return f"{url} (MD5 {md5})"

    def download(self, archive: Path) -> None:
        """Download the archive, or resume an interrupted download.

        Raises:
            OSError, HTTPException: If the download fails or is incomplete; the received part is kept.
        """
        transfer(self.address()[0], archive)

    def unpack(self, archive: Path, folder: Path) -> Path:
        """Check and extract the archive into `folder`, and return the dataset's folder in it.

        Raises:
            UserError: If the archive is not the published one.
        """
        from monai.apps.utils import check_hash  # takes 7 s

        _, md5 = self.address()
        if not check_hash(archive, md5, "md5"):
            raise UserError(f"{archive}: has another MD5 than {md5}; delete it and run the same command again")
        return self.extract(archive, folder)
