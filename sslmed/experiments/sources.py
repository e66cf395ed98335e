"""Sources of an experiment's data: a generated phantom, a known dataset, a folder or a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.names import check_name
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.experiments.preset import PhantomSettings
from sslmed.phantoms import KINDS
from sslmed.preparation.download.fetch import fetch
from sslmed.preparation.download.known import KNOWN
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import KINDS as LABEL_KINDS
from sslmed.preparation.readers.dataset import Dataset, Labels
from sslmed.preparation.readers.table import dataset_name

PHANTOM = "phantom"
OURS = frozenset((PHANTOM, *KNOWN))
"""Names of data that are generated or downloaded."""


@dataclass(frozen=True)
class Source:
    """Finds, generates or downloads a dataset by its name.

    Attributes:
        data: `phantom`, a known dataset's name, or the path of a table, or of a folder that holds one or is in the
            layout of MSD or APTOS.
        downloads: Folder for generated and downloaded datasets.
        labels: Kind of labels to read from a table with several kinds; `None` if it has one, of any kind.
        phantom_kind: Kind of synthetic data, if there is one.
        phantom: Size of the phantom.
        more: Other known datasets, folders and tables, whose cases are added.
        seed: Seed of the phantom.
        option: By which it is given.

    Raises:
        UserError: If the name of a folder is one that sslmed uses itself, the labels of a known dataset are of another
            kind, or there is no phantom to generate.
    """

    data: str
    downloads: Path
    labels: Labels | None
    phantom_kind: str | None = None
    phantom: PhantomSettings | None = None
    more: tuple[str, ...] = ()
    seed: int = 0
    option: str = "--data"

    @property
    def name(self) -> str:
        """The dataset's name in tables and paths."""
        names = [each if each in OURS else name_of(Path(each)) for each in (self.data, *self.more)]
        if self.seed != 0 and self.data in OURS:
            names[0] += f"-seed{self.seed}"
        return "+".join(names)

    @property
    def folders(self) -> list[Path]:
        """All folders and tables of the dataset; see `folder`."""
        return [self.folder, *(_place(each, self.downloads) for each in self.more)]

    @property
    def folder(self) -> Path:
        """Folder of the dataset, which may not exist yet."""
        if self.phantom is not None and self.is_phantom:
            size = "x".join(map(str, self.phantom.size))
            name = f"phantom-{self.phantom_kind}-{self.phantom.cases}-{self.phantom.unlabelled}-{size}"
            return self.downloads / (name if self.seed == 0 else f"{name}-seed{self.seed}")
        return _place(self.data, self.downloads)

    @property
    def is_phantom(self) -> bool:
        """Whether the data is generated."""
        return self.data == PHANTOM

    @property
    def is_public(self) -> bool:
        """Whether the data is generated, or from known datasets, and none of it the user's own."""
        return OURS.issuperset((self.data, *self.more))

    @property
    def is_absent(self) -> bool:
        """Whether a part of the dataset must be generated or downloaded first."""
        is_new = self.is_phantom and not layouts.has_layout(self.folder)
        return is_new or any(_must_be_downloaded(each, self.downloads) for each in (self.data, *self.more))

    def __post_init__(self) -> None:
        if self.is_phantom and (self.phantom_kind is None or self.phantom is None):
            raise UserError("there is no synthetic data for this figure: give a table or a folder instead of `phantom`")
        for each in OURS.intersection((self.data, *self.more)) - {PHANTOM}:
            if self.labels is not None and KNOWN[each].labels != self.labels:
                there, wanted = (LABEL_KINDS[kind] for kind in (KNOWN[each].labels, self.labels))
                raise UserError(f"{each}: its labels are {there}, not {wanted}")
        if self.name != self.data and self.name in OURS:
            raise UserError(f"{self.data}: sslmed uses the name of this folder itself; rename the folder or link to it")
        if self.folder.exists():
            check_name(self.name, self.data)

    def fetch(self) -> Dataset:
        """Generate or download the dataset if it is absent, and list its cases.

        Raises:
            UserError: If the name is neither known nor a folder, or the data cannot be downloaded or read.
        """
        if self.is_phantom and self.phantom is not None and self.phantom_kind is not None:
            generate, numbers = KINDS[self.phantom_kind], asdict(self.phantom)
            generate(self.folder, **numbers, seed=self.seed)
        else:
            _fetch(self.data, self.downloads, self.option, (PHANTOM, *KNOWN))
        for each in self.more:
            _fetch(each, self.downloads, self.option)
        return layouts.read(*self.folders, labels=self.labels)


def name_of(path: Path) -> str:
    """Return the name, in tables and paths, of the data in a folder or table."""
    return dataset_name(path) if path.is_file() else path.resolve().name


@dataclass(frozen=True)
class Pool:
    """Finds or downloads an external pool.

    Attributes:
        names: Known datasets' names, and paths of tables or folders; several are one pool.
        downloads: Folder for downloaded datasets.
    """

    names: Sequence[str]
    downloads: Path

    @property
    def folders(self) -> list[Path]:
        """Folders or tables of the pool, which may not exist yet."""
        return [_place(name, self.downloads) for name in self.names]

    @property
    def name(self) -> str:
        """The pool's name in tables and paths."""
        return "+".join(map(name_of, self.folders))

    @property
    def is_absent(self) -> bool:
        """Whether a part of the pool must be downloaded first."""
        return any(_must_be_downloaded(name, self.downloads) for name in self.names)

    def scan(self) -> tuple[Dataset, list[str]]:
        """Download what is absent, and return the images and the problems of those that cannot be used.

        Raises:
            UserError: If a folder does not exist or has no image, or a dataset cannot be downloaded.
        """
        for name in self.names:
            _fetch(name, self.downloads, "--pool")
        check_name(self.name, self.folders[0])
        return layouts.scan_all(self.folders, pool=True)


def refuse_same_people(source: Source, pool: Pool) -> None:
    """Refuse IXI as a pool for IXITiny, or the reverse: they are of the same people, in images that differ.

    Raises:
        UserError: If it is so.
    """
    ixi = {name for name, known in KNOWN.items() if known.name.startswith("IXI")}
    for name, data in product(ixi.intersection(pool.names), ixi.intersection((source.data, *source.more))):
        raise UserError(f"--pool {name}: shows the people of {data}, so pretraining would see its test cases")


def _place(name: str, downloads: Path) -> Path:
    """Return the folder of a known dataset, which may not exist yet, or the path that a user has given."""
    return downloads / KNOWN[name].name if name in KNOWN else Path(name)


def _must_be_downloaded(name: str, downloads: Path) -> bool:
    return name in KNOWN and not layouts.has_layout(_place(name, downloads))


def _fetch(name: str, downloads: Path, option: str, known: Sequence[str] = (*KNOWN,)) -> None:
    """Download a known dataset if it is absent, and refuse what is neither one nor there."""
    if name in KNOWN:
        fetch(name, downloads)
    elif not Path(name).exists():
        near = did_you_mean(name, known) or did_you_mean_path(Path(name))
        what = "no such folder or table, and no known dataset"
        raise UserError(f"{option} {name}: {what} ({', '.join(known)}){near}")
