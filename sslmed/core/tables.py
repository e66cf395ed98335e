"""Reads the CSV tables that sslmed has written."""

from pathlib import Path

import pandas as pd


def read_table(path: Path) -> pd.DataFrame:
    """Read a table. Ids of cases and names are text even where they look like a number ("007") or like no value ("NA").

    Only empty cells are missing values.
    """
    return pd.read_csv(path, dtype={"case": str, "arm": str}, keep_default_na=False, na_values=[""])
