"""Where an experiment's data comes from: a phantom that is drawn, a known dataset that is downloaded, or a folder."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.experiments.settings import PhantomSettings
from sslmed.phantoms import KINDS
from sslmed.preparation.download.fetch import KNOWN, fetch
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.layouts import Dataset

PHANTOM = "phantom"


@dataclass(frozen=True)
class Source:
    """A dataset by name.

    Attributes:
        data: `phantom`, a known dataset's name, or the path of a folder in the layout of MSD or APTOS.
        downloads: Where drawn and downloaded datasets are kept.
        phantom_kind: Which phantom stands in for data.
        phantom: How much of it to draw.
    """

    data: str
    downloads: Path
    phantom_kind: str
    phantom: PhantomSettings

    @property
    def name(self) -> str:
        """The dataset's name in tables and paths."""
        return self.data if self.data in (PHANTOM, *KNOWN) else Path(self.data).resolve().name

    @property
    def folder(self) -> Path:
        """Where the dataset is, or will be."""
        if self.is_phantom:
            size = "x".join(map(str, self.phantom.size))
            return self.downloads / f"phantom-{self.phantom_kind}-{self.phantom.cases}-{self.phantom.unlabelled}-{size}"
        if self.data in KNOWN:
            return self.downloads / KNOWN[self.data].name
        return Path(self.data)

    @property
    def is_phantom(self) -> bool:
        """Whether the data is drawn."""
        return self.data == PHANTOM

    @property
    def is_absent(self) -> bool:
        """Whether the dataset must be drawn or downloaded first."""
        return self.data in (PHANTOM, *KNOWN) and not layouts.has_layout(self.folder)

    def __post_init__(self) -> None:
        if self.name != self.data and self.name in (PHANTOM, *KNOWN):
            msg = f"{self.data}: its last component is a name that sslmed uses itself; rename the folder or link to it"
            raise UserError(msg)

    def fetch(self) -> Dataset:
        """Draw or download the dataset if it is absent, and read which cases it has.

        Raises:
            UserError: If the name is neither known nor a folder, or the data cannot be had or read.
        """
        if self.is_phantom:
            draw = KINDS[self.phantom_kind]
            draw(self.folder, cases=self.phantom.cases, unlabelled=self.phantom.unlabelled, size=self.phantom.size)
        elif self.data in KNOWN:
            fetch(self.data, self.downloads)
        elif not self.folder.is_dir():
            raise UserError(f"{self.data}: neither a folder nor a known dataset ({', '.join((PHANTOM, *KNOWN))})")
        return layouts.read(self.folder)


def scan_pool(folder: Path) -> Dataset:
    """Find the images of an external pool; preparing it reports those that cannot be used.

    Raises:
        UserError: If it is no folder, or has no image.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; --pool is a folder of images, or one in the layout of MSD or APTOS")
    dataset, _ = layouts.scan(folder, pool=True)
    return dataset
