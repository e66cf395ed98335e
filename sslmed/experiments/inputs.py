"""The datasets of an experiment: the labelled one, and those that arms are pretrained on instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.experiments.data_checks import check_source, refuse_common_images
from sslmed.experiments.grid import Grid
from sslmed.experiments.plan import LabelledSource, Places
from sslmed.experiments.seen import SeenData
from sslmed.experiments.sources import Pool, Source, refuse_same_people
from sslmed.preparation.prepare import PrepareSettings, prepare
from sslmed.preparation.preview import preview
from sslmed.preparation.readers.dataset import Dataset, Labels


@dataclass(frozen=True)
class Inputs:
    """Holds the datasets of an experiment. `find_inputs` makes it.

    Attributes:
        source: Source of the labelled data.
        pool: The external pool, if there is one.
        rival: Source of the labelled dataset of the arm `supervised`, if there is one.
        dataset: The labelled data; `None` if a dry run would have to download or generate it. So are the next ones.
        images: Images of the pool.
        unusable: Problems of the pool's other files.
        labelled: The dataset of the rival.
    """

    source: Source
    pool: Pool | None
    rival: Source | None
    dataset: Dataset | None
    images: Dataset | None
    unusable: Sequence[str]
    labelled: Dataset | None

    def places(self, grid: Grid, work: Path, stores: Path) -> Places:
        """Name the stores of the prepared datasets, in the folder of all stores."""

        def store(prefix: str, name: str, dataset: Dataset | None) -> Path:
            key = "unknown"
            if dataset is not None:
                key = grid.prepare_settings(dataset.spatial_dims).key(f"{dataset.name} {dataset.labels}")
            return stores / f"{prefix}{name}-{key}"

        source = None
        if self.rival is not None:
            labels = grid.experiment.label_kind if self.labelled is None else self.labelled.labels
            source = LabelledSource(self.rival.name, store("source-", self.rival.name, self.labelled), labels)
        return Places(
            work=work,
            store=store("", self.source.name, self.dataset),
            pool=None if self.pool is None else store("pool-", self.pool.name, self.images),
            source=source,
            spatial_dims=3 if self.dataset is None else self.dataset.spatial_dims,
        )

    def preview(self, places: Places, settings: PrepareSettings) -> SeenData | None:
        """Tell what runs will see, without preparing anything; `None` if the dataset is not here."""
        if self.dataset is None:
            return None
        pool = source = None
        if self.images is not None and places.pool is not None:
            pool = preview(self.images, self.unusable, places.pool, settings, pool=True)
        if self.labelled is not None and places.source is not None:
            source = preview(self.labelled, (), places.source.store, settings)
        return SeenData(preview(self.dataset, (), places.store, settings), pool, source)

    def prepare(self, places: Places, settings: PrepareSettings, labels: Labels) -> SeenData:
        """Prepare what is not prepared yet.

        Raises:
            UserError: If an image to pretrain on is one of the labelled dataset, or a dataset cannot be used.
        """
        store = prepare(self.source.folders, places.store, settings, labels=labels)
        pool = source = None
        if self.pool is not None and places.pool is not None:
            pool = prepare(self.pool.folders, places.pool, settings, pool=True)
            refuse_common_images(pool, store, "--pool")
        if self.rival is not None and places.source is not None:
            source = prepare(self.rival.folders, places.source.store, settings)
            refuse_common_images(source, store, "--source")
        return SeenData(store, pool, source)


def find_inputs(source: Source, pool: Pool | None, rival: Source | None, *, dry_run: bool) -> Inputs:
    """Find, download or generate the datasets; in a dry run, only find them.

    Raises:
        UserError: If one does not exist or cannot be used.
    """
    if pool is not None:
        refuse_same_people(source, pool)
    dataset = None if dry_run and source.is_absent else source.fetch()
    images, unusable = None, list[str]()
    if pool is not None and not (dry_run and pool.is_absent):
        images, unusable = pool.scan()
    labelled = None if rival is None or (dry_run and rival.is_absent) else rival.fetch()
    if labelled is not None:
        check_source(labelled)
    return Inputs(source, pool, rival, dataset, images, unusable, labelled)
