"""The datasets of an experiment: the labelled one, and those that arms are pretrained on instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.experiments.data_checks import check_source, refuse_common_images
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import LabelledSource, Places
from sslmed.experiments.seen import SeenData
from sslmed.experiments.sources import Pool, Source, refuse_same_people
from sslmed.preparation.prepare import prepare
from sslmed.preparation.preview import preview
from sslmed.preparation.readers.dataset import Dataset, Labels
from sslmed.preparation.settings import PrepareSettings


@dataclass(frozen=True)
class Inputs:
    """Holds the datasets of an experiment. `find_inputs` makes it.

    Attributes:
        data: Where the labelled data come from.
        pool: Where the external pool comes from, if there is one.
        source: Where the labelled dataset of the arm `supervised` comes from, if there is one.
        dataset: The labelled data; `None` if a dry run would have to download or generate it. So are the next ones.
        pool_dataset: Images of the pool.
        pool_problems: Problems of the pool's other files.
        source_dataset: The labelled dataset of the arm `supervised`.
    """

    data: Source
    pool: Pool | None
    source: Source | None
    dataset: Dataset | None
    pool_dataset: Dataset | None
    pool_problems: Sequence[str]
    source_dataset: Dataset | None

    def places(self, grid: Grid, work: Path, stores: Path) -> Places:
        """Name the stores of the prepared datasets, in the folder of all stores."""

        def store(prefix: str, name: str, dataset: Dataset | None) -> Path:
            key = "unknown"
            if dataset is not None:
                key = grid.prepare_settings(dataset.spatial_dims).key(f"{dataset.name} {dataset.labels}")
            return stores / f"{prefix}{name}-{key}"

        source = None
        if self.source is not None:
            found = self.source_dataset
            labels = grid.experiment.label_kind if found is None else found.labels
            source = LabelledSource(self.source.name, store("source-", self.source.name, found), labels)
        return Places(
            work=work,
            store=store("", self.data.name, self.dataset),
            pool=None if self.pool is None else store("pool-", self.pool.name, self.pool_dataset),
            source=source,
            spatial_dims=3 if self.dataset is None else self.dataset.spatial_dims,
        )

    def preview(self, places: Places, settings: PrepareSettings) -> SeenData | None:
        """Tell what runs will see, without preparing anything; `None` if the dataset is not here.

        Raises:
            UserError: If an image to pretrain on is known to be one of the labelled dataset.
        """
        if self.dataset is None:
            return None
        pool = source = None
        if self.pool_dataset is not None and places.pool is not None:
            pool = preview(self.pool_dataset, self.pool_problems, places.pool, settings, pool=True)
        if self.source_dataset is not None and places.source is not None:
            source = preview(self.source_dataset, (), places.source.store, settings)
        return _compared(SeenData(preview(self.dataset, (), places.store, settings), pool, source))

    def prepare(self, places: Places, settings: PrepareSettings, labels: Labels) -> SeenData:
        """Prepare what is not prepared yet.

        Raises:
            UserError: If an image to pretrain on is one of the labelled dataset, or a dataset cannot be used.
        """
        store = prepare(self.data.folders, places.store, settings, labels=labels)
        pool = source = None
        if self.pool is not None and places.pool is not None:
            pool = prepare(self.pool.folders, places.pool, settings, pool=True)
        if self.source is not None and places.source is not None:
            source = prepare(self.source.folders, places.source.store, settings)
        return _compared(SeenData(store, pool, source))


def find_inputs(data: Source, pool: Pool | None, source: Source | None, *, dry_run: bool) -> Inputs:
    """Find, download or generate the datasets; in a dry run, only find them.

    Raises:
        UserError: If one does not exist or cannot be used.
    """
    if pool is not None:
        refuse_same_people(data, pool)
    dataset = None if dry_run and data.is_absent else data.fetch()
    pool_dataset, problems = None, list[str]()
    if pool is not None and not (dry_run and pool.is_absent):
        pool_dataset, problems = pool.scan()
    source_dataset = None if source is None or (dry_run and source.is_absent) else source.fetch()
    if source_dataset is not None:
        check_source(source_dataset)
    return Inputs(data, pool, source, dataset, pool_dataset, problems, source_dataset)


def _compared(seen: SeenData) -> SeenData:
    """Return what runs see, if no image to pretrain on is one of the labelled dataset."""
    for option, store in (("--pool", seen.pool), ("--source", seen.source)):
        if store is not None:
            refuse_common_images(store, seen.store, option)
    return seen
