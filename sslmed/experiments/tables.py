"""Collects finished runs into tables: scores by run, by case, and summarised."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sslmed.errors import DataError, UserError
from sslmed.evaluation.metrics import case_values
from sslmed.experiments.summary import summarise_cells
from sslmed.files import atomic_path

RUN = ["figure", "dataset", "preset", "arm", "spatial_dims", "label_fraction", "n_labels", "fold", "seed"]
"""What identifies a run, in tables and in `results.json`."""


@dataclass(frozen=True)
class Tables:
    """All that a figure is drawn from.

    Attributes:
        results: One row per run and metric: test scores.
        cases: One row per run, test case and metric: scores and counts.
        summary: One row per metric, arm and label fraction, see `summarise_cells`.
        curves: One row per run, `update` and metric: scores of the validation cases.
        missing: The runs without results, in the order given, e.g. `rotation 25 % fold 1 seed 0`.
    """

    results: pd.DataFrame
    cases: pd.DataFrame
    summary: pd.DataFrame
    curves: pd.DataFrame
    missing: tuple[str, ...]


def collect(run_dirs: Iterable[Path]) -> Tables:
    """Read fine-tuning runs and summarise them.

    Args:
        run_dirs: Every planned run of one experiment, `.../<arm>/fold<k>/seed<s>/<percent>`; those without
            `results.json` are listed as missing.

    Raises:
        UserError: No run has finished.
        DataError: Files of a run cannot be read, or runs to be compared were scored on different cases.
    """
    paths = list(run_dirs)
    finished = [path for path in paths if (path / "results.json").is_file()]
    if not finished:
        msg = "no run has finished, so there is nothing to summarise; the runs' run.log files say what happened"
        raise UserError(msg)
    runs = [_FinishedRun.read(path) for path in finished]
    curves = _long([run.rows(run.record["validation"]) for run in runs], "update")
    return Tables(
        results=_long([run.rows([run.record["metrics"]]) for run in runs]),
        cases=_long([run.rows(run.cases) for run in runs], "case"),
        summary=summarise_cells(_long([run.rows(run.case_values()) for run in runs], "case")),
        curves=curves.assign(metric=curves["metric"].str.removeprefix("val/")),
        missing=tuple(_name(path) for path in paths if path not in finished),
    )


def write_tables(tables: Tables, folder: Path) -> None:
    """Write `results.csv`, `cases.csv` and `summary.csv`; equal runs give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("results", tables.results), ("cases", tables.cases), ("summary", tables.summary)):
        with atomic_path(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


@dataclass(frozen=True)
class _FinishedRun:
    record: dict[str, Any]
    cases: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "_FinishedRun":
        try:
            record = json.loads((path / "results.json").read_text(encoding="utf-8"))
            # Ids are text even where they look like a number ("007") or like a missing value ("NA").
            cases = pd.read_csv(path / "cases.csv", dtype={"case": str}, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise DataError([f"{path}: {error}; remove the run, and the same command makes it anew"]) from error
        return cls(record, cases)

    def rows(self, values: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """Put what identifies the run beside values."""
        return pd.DataFrame(values).assign(**{key: self.record[key] for key in RUN})

    def case_values(self) -> pd.DataFrame:
        """Give one value per case for every metric, whose mean is the run's score."""
        values = {metric: case_values(self.cases, metric) for metric in self.record["metrics"]}
        return pd.DataFrame(values).assign(case=self.cases["case"])


def _long(frames: Sequence[pd.DataFrame], *keys: str) -> pd.DataFrame:
    """Join wide frames into one row per value, sorted."""
    identity = [*RUN, *keys]
    table = pd.concat(frames).melt(identity, var_name="metric").dropna(subset="value")
    return table.sort_values([*identity, "metric"], ignore_index=True)


def _name(path: Path) -> str:
    arm, fold, seed, percent = path.absolute().parts[-4:]
    return f"{arm} {percent} % fold {fold.removeprefix('fold')} seed {seed.removeprefix('seed')}"
