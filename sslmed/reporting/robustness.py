"""Scores under artefacts, summarised by the same statistics as all others. No test and no choice rests on them."""

from pathlib import Path
from typing import Any

import pandas as pd

from sslmed.core.tables import write_table
from sslmed.evaluation.artefacts import MAKERS
from sslmed.reporting.summary import CELL, DIFFERENCE, SCORE, summarise_cells

COLUMNS = ["artefact", "strength", *CELL, *SCORE, *(name for name in DIFFERENCE if name != "p")]


def summarise_corrupted(values: pd.DataFrame, *, test_to_train: float) -> pd.DataFrame:
    """Estimate the score of every cell under every artefact, and its difference to the baseline under the same one.

    Args:
        values: As in `summarise_cells`, with the columns `artefact` and `strength`; empty without such scores.
        test_to_train: See `sslmed.evaluation.statistics.estimate`.

    Returns:
        `COLUMNS`, artefacts in the order of the registry. There are no p-values: artefacts are many, and not tested.
    """
    numbers = values.astype({"value": float})  # objects, where some runs have none
    kinds: dict[Any, pd.DataFrame] = dict(iter(numbers.groupby(["artefact", "strength"])))
    ordered = sorted(kinds, key=lambda kind: ([*MAKERS].index(kind[0]), kind[1]))
    tables = [
        summarise_cells(kinds[kind], primary="", test_to_train=test_to_train).assign(artefact=kind[0], strength=kind[1])
        for kind in ordered
    ]
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def write_corrupted_table(table: pd.DataFrame, folder: Path) -> None:
    """Write `robustness.csv`, or remove that of earlier runs if these have no scores under artefacts."""
    path = folder / "robustness.csv"
    if table.empty:
        path.unlink(missing_ok=True)
    else:
        write_table(path, table)
