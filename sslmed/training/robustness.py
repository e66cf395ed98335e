"""Scores test cases under artefacts, which are the same for every network. Nothing is chosen by these scores."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Trainer
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from sslmed.data.datamodule import StoreDataModule
from sslmed.data.samples import Sample
from sslmed.downstream.base import DownstreamTask
from sslmed.evaluation.artefacts import STRENGTHS, Artefact, applicable, corrupt
from sslmed.evaluation.metrics import Kind, summarise

KIND = ["artefact", "strength"]


def score_corrupted(
    networks: Sequence[tuple[Trainer, DownstreamTask]],
    data: StoreDataModule,
    artefacts: Sequence[Artefact],
    advance: Callable[[], None] = lambda: None,
) -> list[pd.DataFrame]:
    """Test trained networks on the test cases of one fold under each artefact at each strength.

    Artefacts act on prepared images, as networks see them: the store is all that is needed, crop and labels stay as
    they are, and a strength means the same for all resolutions.

    Args:
        networks: Each with its trainer.
        data: Data of any of them; their folds are the same.
        artefacts: The artefacts.
        advance: Called after each network, artefact and strength.

    Returns:
        For each network, one row per artefact, strength and test case: `KIND`, and the columns of `cases.csv` that are
        about the prepared grid.

    Raises:
        UserError: If an artefact does not occur in such images.
    """
    batches = [*data.test_dataloader()]
    tables: list[list[pd.DataFrame]] = [[] for _ in networks]
    for artefact, strength in product(applicable(artefacts, data.store.spatial_dims), STRENGTHS):
        corrupted = [_corrupted(batch, artefact, strength) for batch in batches]
        loader: DataLoader[Sample] = DataLoader(corrupted, batch_size=None)  # type: ignore[arg-type]  # a list is one
        for (trainer, model), of_model in zip(networks, tables, strict=True):
            trainer.test(model, dataloaders=loader, verbose=False)
            rows = pd.DataFrame(model.test_rows).sort_values("case", ignore_index=True)
            of_model.append(rows.assign(artefact=artefact, strength=strength))
            advance()
    return [pd.concat(of_model, ignore_index=True) for of_model in tables]


def _corrupted(batch: Sample, artefact: Artefact, strength: int) -> Sample:
    pairs = zip(batch["image"].cpu(), batch["case"], strict=True)
    images = [corrupt(image, artefact, strength, case) for image, case in pairs]
    kept: dict[str, Any] = {name: batch[name] for name in ("case", "label", "lost") if name in batch}
    return {**kept, "image": torch.stack(images)}


def print_corrupted(rows: pd.DataFrame, kind: Kind) -> None:
    """Print the scores of a run under each artefact and strength as a table."""
    table = Table(*KIND, "metric", "value", title="Test cases under artefacts")
    for (artefact, strength), of_kind in dict[Any, pd.DataFrame](iter(rows.groupby(KIND, sort=False))).items():
        for metric, value in summarise(of_kind, kind).items():
            table.add_row(artefact, STRENGTHS[strength], metric, f"{value:.4f}")
    Console().print(table)
