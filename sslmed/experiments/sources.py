"""Sources of an experiment's data: a generated phantom, a known dataset, a folder or a table."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.names import check_name
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
    """Finds, generates or downloads a dataset by its name.

    Attributes:
        data: `phantom`, a known dataset's name, or the path of a table, or of a folder that holds one or is in the
            layout of MSD or APTOS.
        downloads: Folder for generated and downloaded datasets.
        labels: Kind of labels to read from a table with several kinds.
        phantom_kind: Kind of synthetic data, if there is one.
        phantom: Size of the phantom.

    Raises:
        UserError: If the name of a folder is one that sslmed uses itself, the labels of a known dataset are of another
            kind, or there is no phantom to generate.
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
        """Folder of the dataset, which may not exist yet."""
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
                "there is no synthetic data for this figure: give a table or a folder by --data (make: DATA=)"
            )
        if self.data in KNOWN and KNOWN[self.data].labels != self.labels:
            there, wanted = (layouts.KINDS[kind] for kind in (KNOWN[self.data].labels, self.labels))
            raise UserError(f"{self.data}: its labels are {there}, not {wanted}")
        if self.name != self.data and self.name in (PHANTOM, *KNOWN):
            msg = f"{self.data}: sslmed uses the name of this folder itself; rename the folder or link to it"
            raise UserError(msg)
        if self.folder.exists():
            check_name(self.name, self.data)

    def fetch(self) -> Dataset:
        """Generate or download the dataset if it is absent, and list its cases.

        Raises:
            UserError: If the name is neither known nor a folder, or the data cannot be downloaded or read.
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
    """Return the name, in tables and paths, of the data in a folder or table."""
    return dataset_name(path) if path.is_file() else path.resolve().name


@dataclass(frozen=True)
class Pool:
    """Finds or downloads an external pool.

    Attributes:
        data: A known dataset's name, or the path of a table or a folder.
        downloads: Folder for downloaded datasets.
    """

    data: str
    downloads: Path

    @property
    def folder(self) -> Path:
        """Folder or table of the pool, which may not exist yet."""
        return self.downloads / KNOWN[self.data].name if self.data in KNOWN else Path(self.data)

    @property
    def name(self) -> str:
        """The pool's name in reports and paths."""
        return name_of(self.folder)

    @property
    def is_absent(self) -> bool:
        """Whether the pool must be downloaded first."""
        return self.data in KNOWN and not layouts.has_layout(self.folder)

    def scan(self) -> tuple[Dataset, list[str]]:
        """Download the pool if it is absent, and return its images and the problems of those that cannot be used.

        Raises:
            UserError: If it does not exist, has no image, or cannot be downloaded.
        """
        if self.data in KNOWN:
            fetch(self.data, self.downloads)
        if not self.folder.exists():
            expected = "--pool is a table, a folder of images or one in the layout of MSD or APTOS, or a known dataset"
            near = did_you_mean(self.data, KNOWN) or did_you_mean_path(self.folder)
            raise UserError(f"{self.data}: no such folder; {expected} ({', '.join(KNOWN)}){near}")
        check_name(self.name, self.folder)
        return layouts.scan(self.folder, pool=True)


def refuse_same_people(source: Source, pool: Pool) -> None:
    """Refuse IXI as a pool for IXITiny, or the reverse: they are of the same people, in images that differ.

    Raises:
        UserError: If it is so.
    """
    if all(each.data in KNOWN and KNOWN[each.data].name.startswith("IXI") for each in (source, pool)):
        raise UserError(f"--pool {pool.data}: shows the people of {source.data}, whose test cases it would give away")
