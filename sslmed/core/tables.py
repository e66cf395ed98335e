"""Reads and writes the CSV tables of sslmed."""

from pathlib import Path

import pandas as pd

from sslmed.core.files import atomic_path


def read_table(path: Path) -> pd.DataFrame:
    """Read a table. Ids of cases and names are text even where they look like a number ("007") or like no value ("NA").

    Only empty cells are missing values.
    """
    return pd.read_csv(path, dtype={"case": str, "arm": str}, keep_default_na=False, na_values=[""])


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically, and create its folder if needed. Equal tables give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
