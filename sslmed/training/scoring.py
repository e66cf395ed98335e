"""Scores a network that a checkpoint holds, and shows the scores."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pytorch_lightning import LightningModule, Trainer
from rich.console import Console
from rich.table import Table

from sslmed.data.datamodule import StoreDataModule
from sslmed.downstream.base import DownstreamTask
from sslmed.encoders.weights_file import fill, read_state
from sslmed.preparation.store import Store
from sslmed.training.seen import refuse_other_preparation


def load_weights(model: LightningModule, checkpoint: Path, store: Store) -> None:
    """Load all weights of a model, if they are for images like those of the store.

    Raises:
        UserError: If the file is not a checkpoint of this model, or is for images that are prepared otherwise.
    """
    refuse_other_preparation(checkpoint, store)
    fill(model, read_state(checkpoint), checkpoint)


def score(trainer: Trainer, model: DownstreamTask, data: StoreDataModule, checkpoint: Path) -> pd.DataFrame:
    """Test a checkpoint.

    Returns:
        One row of scores per test case.
    """
    load_weights(model, checkpoint, data.store)
    trainer.test(model, datamodule=data, verbose=False)
    return pd.DataFrame(model.test_rows).sort_values("case", ignore_index=True)


def print_scores(title: str, scores: Mapping[str, float]) -> None:
    """Print scores as a table."""
    table = Table("metric", "value", title=title)
    for name, value in scores.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)
