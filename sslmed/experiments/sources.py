"""Where an experiment's data comes from: a phantom that is generated, a known dataset, a folder or a table."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.experiments.settings import PhantomSettings
from sslmed.phantoms import KINDS
from sslmed.preparation.download.fetch import fetch
from sslmed.preparation.download.known import KNOWN
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Dataset, Labels
from sslmed.preparation.readers.table import dataset_name

PHANTOM = "phantom"


@dataclass(frozen=True)
class Source:
    """A dataset by name.

    Attributes:
        data: `phantom`, a known dataset's name, or the path of a table, or of a folder that holds one or is in the
            layout of MSD or APTOS.
        downloads: Where generated and downloaded datasets are kept.
        labels: What labels to take from a table that has several kinds.
        phantom_kind: Which phantom stands in for data, if any does.
        phantom: How large a phantom to generate.

    Raises:
        UserError: If a folder has a name that stands for something else, or no phantom stands in for data.
    """

    data: str
    downloads: Path
    labels: Labels
    phantom_kind: str | None = None
    phantom: PhantomSettings | None = None

    @property
    def name(self) -> str:
        """The dataset's name in tables and paths."""
        if self.data in (PHANTOM, *KNOWN):
            return self.data
        return name_of(Path(self.data))

    @property
    def folder(self) -> Path:
        """Where the dataset is, or will be."""
        if self.phantom is not None and self.is_phantom:
            size = "x".join(map(str, self.phantom.size))
            return self.downloads / f"phantom-{self.phantom_kind}-{self.phantom.cases}-{self.phantom.unlabelled}-{size}"
        if self.data in KNOWN:
            return self.downloads / KNOWN[self.data].name
        return Path(self.data)

    @property
    def is_phantom(self) -> bool:
        """Whether the data is generated."""
        return self.data == PHANTOM

    @property
    def is_absent(self) -> bool:
        """Whether the dataset must be generated or downloaded first."""
        return self.data in (PHANTOM, *KNOWN) and not layouts.has_layout(self.folder)

    def __post_init__(self) -> None:
        if self.is_phantom and (self.phantom_kind is None or self.phantom is None):
            raise UserError(
                "no phantom stands in for your data here: give a table, or a folder, by --data (make: DATA=)"
            )
        if self.name != self.data and self.name in (PHANTOM, *KNOWN):
            msg = f"{self.data}: its last component is a name that sslmed uses itself; rename the folder or link to it"
            raise UserError(msg)

    def fetch(self) -> Dataset:
        """Generate or download the dataset if it is absent, and read which cases it has.

        Raises:
            UserError: If the name is neither known nor a folder, or the data cannot be had or read.
        """
        if self.is_phantom and self.phantom is not None and self.phantom_kind is not None:
            generate, size = KINDS[self.phantom_kind], self.phantom.size
            generate(self.folder, cases=self.phantom.cases, unlabelled=self.phantom.unlabelled, size=size)
        elif self.data in KNOWN:
            fetch(self.data, self.downloads)
        elif not self.folder.exists():
            known = (PHANTOM, *KNOWN)
            near = did_you_mean(self.data, known) or did_you_mean_path(self.folder)
            raise UserError(f"{self.data}: neither a folder, a table nor a known dataset ({', '.join(known)}){near}")
        return layouts.read(self.folder, labels=self.labels)


def name_of(path: Path) -> str:
    """What the data in a folder, or of a table, is called in tables and paths."""
    return dataset_name(path) if path.is_file() else path.resolve().name


def scan_pool(folder: Path) -> Dataset:
    """Find the images of an external pool; preparing it reports those that cannot be used.

    Raises:
        UserError: If it is no folder, or has no image.
    """
    if not folder.exists():
        expected = "--pool is a table, a folder of images, or one in the layout of MSD or APTOS"
        raise UserError(f"{folder}: no such folder; {expected}{did_you_mean_path(folder)}")
    dataset, _ = layouts.scan(folder, pool=True)
    return dataset
