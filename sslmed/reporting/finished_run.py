"""Reads finished fine-tuning runs: scores of every test case, in validation and under artefacts."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslmed.core.tables import read_table
from sslmed.evaluation.metrics import case_values
from sslmed.evaluation.statistics import assumed_ratio
from sslmed.training.run_directory import RunDirectory

RUN = ["figure", "dataset", "preset", "arm", "spatial_dims", "label_fraction", "n_labels", "fold", "seed"]
"""Columns that identify a run, in tables and in `results.json`."""


@dataclass(frozen=True)
class FinishedRun:
    """Holds what a fine-tuning run found.

    Attributes:
        record: Its `results.json`.
        cases: Its `cases.csv`, sorted.
        corrupted: Its scores under artefacts, if it has some.
    """

    record: dict[str, Any]
    cases: pd.DataFrame
    corrupted: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "FinishedRun":
        """Read a run; raises OSError or ValueError."""
        record = json.loads((path / "results.json").read_text(encoding="utf-8"))
        absent = sorted({*RUN, "n_train", "n_folds", "metrics", "validation"}.difference(record))
        if absent:
            raise ValueError(f"results.json has no {', '.join(absent)}")
        cases = read_table(path / "cases.csv")
        corrupted = RunDirectory(path).read_corrupted()
        return cls(record, cases.sort_values("case", ignore_index=True), corrupted)

    def check_finite(self, primary: str) -> None:
        """Raise ValueError if training diverged, or the main score is not finite (JSON has `null` for that)."""
        diverged = [row["update"] for row in self.record["validation"] if row.get("train/loss", 0.0) is None]
        if diverged:
            raise ValueError(f"its training loss is not finite at update {diverged[0]}")
        metrics = self.record["metrics"]
        if primary in metrics and (metrics[primary] is None or not np.isfinite(case_values(self.cases, primary)).all()):
            raise ValueError(f"its {primary} is not finite")

    def at(self, label_fraction: float) -> "FinishedRun":
        """Return the run with the label fraction of its cell."""
        return replace(self, record=self.record | {"label_fraction": label_fraction})

    @property
    def identity(self) -> tuple[Any, ...]:
        """The values of `RUN`."""
        return tuple(self.record[key] for key in RUN)

    @property
    def cell(self) -> tuple[Any, ...]:
        """The same without the number of labels, of which a cell has one in each fold."""
        return tuple(self.record[key] for key in RUN if key != "n_labels")

    @property
    def test_to_train(self) -> float:
        """See `sslmed.evaluation.statistics.estimate`."""
        return assumed_ratio(len(self.cases), self.record["n_train"], self.record["n_folds"])

    def case_values(self) -> pd.DataFrame:
        """Return one value per case for every metric. Their mean is the run's score."""
        values = {metric: case_values(self.cases, metric) for metric in self.record["metrics"]}
        return pd.DataFrame(values).assign(case=self.cases["case"])

    def values_corrupted(self, metric: str) -> pd.DataFrame:
        """Return one value per case, artefact and strength; none if the metric is of the original grid."""
        tables = [pd.DataFrame(columns=["artefact", "strength", "case", "metric", "value"])]
        for _, rows in self.corrupted.groupby(["artefact", "strength"]):
            with suppress(ValueError):
                values = case_values(rows, metric)
                tables.append(rows[["artefact", "strength", "case"]].assign(metric=metric, value=values))
        return pd.concat(tables[1:] or tables)


def read_runs(paths: Iterable[Path], primary: str) -> tuple[dict[Path, FinishedRun], dict[Path, str]]:
    """Read the finished runs, and say why some cannot be used: one of them must not keep all from the figure."""
    records, unusable = dict[Path, FinishedRun](), dict[Path, str]()
    for path in paths:
        if (path / "results.json").is_file():
            try:
                run = FinishedRun.read(path)
                run.check_finite(primary)
                records[path] = run
            except (OSError, ValueError) as error:
                unusable[path] = f"{error}; remove the run, and the same command makes it again"
    return records, unusable
