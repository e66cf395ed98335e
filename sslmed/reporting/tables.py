"""Collects finished runs into tables: scores by run, by case, and summarised."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd

from sslmed.core.errors import UserError
from sslmed.core.files import atomic_path
from sslmed.core.label_amount import LabelAmount
from sslmed.core.tables import write_table
from sslmed.reporting.arm_tests import compare_arms
from sslmed.reporting.efficiency import labels_to_baseline, updates_to_baseline
from sslmed.reporting.finished_run import RUN, FinishedRun, read_runs
from sslmed.reporting.label_axis import LabelAxis
from sslmed.reporting.null_bands import null_bands
from sslmed.reporting.robustness import summarise_corrupted, write_corrupted_table
from sslmed.reporting.same_data import refuse_mixed_data
from sslmed.reporting.summary import FAMILY, summarise_cells


@dataclass(frozen=True)
class Tables:
    """Holds all tables behind a figure.

    Attributes:
        results: One row per run and metric: test scores.
        cases: One row per run and test case, sorted: the contents of the runs' `cases.csv`.
        summary: One row per metric, arm and label fraction, see `summarise_cells`.
        tests: One row per arm: its primary test, see `compare_arms`.
        null_bands: One row per metric, baseline and label fraction, see `null_bands`.
        efficiency: One row per metric, arm and quantity, see `labels_to_baseline` and `updates_to_baseline`.
        curves: One row per run, `update` and metric: scores of the validation cases.
        robustness: One row per artefact, strength, arm and label fraction, see `summarise_corrupted`.
        missing: The runs without usable results, in the order given, e.g. `rotation 25 % fold 1 seed 0`.
        planned: Arm and label fraction of every planned cell.
        unusable: Directories of finished runs whose results cannot be used -> why.
        test_to_train: See `sslmed.evaluation.statistics.estimate`; it corrects intervals for the overlap of training
            sets.
        labels: Amounts of labels by label fraction. The fraction of a number of labels is the same in all folds.
    """

    results: pd.DataFrame
    cases: pd.DataFrame
    summary: pd.DataFrame
    tests: pd.DataFrame
    null_bands: pd.DataFrame
    efficiency: pd.DataFrame
    curves: pd.DataFrame
    robustness: pd.DataFrame
    missing: tuple[str, ...]
    planned: frozenset[tuple[str, float]]
    unusable: Mapping[Path, str]
    test_to_train: float
    labels: LabelAxis


def collect(run_dirs: Iterable[Path], primary: str) -> Tables:
    """Read fine-tuning runs and summarise them.

    Args:
        run_dirs: Every planned run of one experiment, `.../<arm>/fold<k>/seed<s>/<percent>`, or `n<number>` at
            the end; those without results, or with results that cannot be used, are listed as missing.
        primary: Metric of the primary tests: the first of the figure.

    Raises:
        NothingFinishedError: If no run has finished with results that can be used.
        DataError: If runs to compare were scored on different cases or data.
    """
    paths = list(run_dirs)
    records, unusable = read_runs(paths, primary)
    if not records:
        raise NothingFinishedError(unusable)
    refuse_mixed_data(records)
    n_train = {run.record["fold"]: run.record["n_train"] for run in records.values()}
    labels = LabelAxis.of({LabelAmount.from_path(path.name) for path in paths}, n_train)
    placed = [run.at(labels.fraction(LabelAmount.from_path(path.name))) for path, run in records.items()]
    # A number of labels whose cell is that of a fraction, as all labels are 100 %, counts once: the latter is shown.
    runs = sorted({run.cell: run for run in placed}.values(), key=lambda run: run.identity)
    results = _long(_joined(runs, [pd.DataFrame([run.record["metrics"]]) for run in runs]))
    curves = _long(_joined(runs, [pd.DataFrame(run.record["validation"]) for run in runs]), "update")
    curves = curves.assign(metric=curves["metric"].str.removeprefix("val/"))
    values = _joined(runs, [run.case_values() for run in runs])
    ratio = float(np.mean([*{run.record["fold"]: run.test_to_train for run in runs}.values()]))
    updates = updates_to_baseline(curves[curves["metric"].isin(results["metric"])], test_to_train=ratio)
    efficiency = pd.concat([_by_metric(values, partial(labels_to_baseline, test_to_train=ratio)), updates])
    return Tables(
        results=results,
        cases=_joined(runs, [run.cases for run in runs]),
        summary=_by_metric(values, partial(summarise_cells, primary=primary, test_to_train=ratio)),
        tests=compare_arms(_of_metric(values, primary), test_to_train=ratio),
        null_bands=_by_metric(values, null_bands),
        efficiency=efficiency.sort_values([*FAMILY, "arm", "quantity"], ignore_index=True),
        curves=curves,
        robustness=summarise_corrupted(
            _joined(runs, [run.values_corrupted(primary) for run in runs]), test_to_train=ratio
        ),
        missing=tuple(_name(path) for path in paths if path not in records),
        planned=frozenset((_arm(path), labels.fraction(LabelAmount.from_path(path.name))) for path in paths),
        unusable=unusable,
        test_to_train=ratio,
        labels=labels,
    )


def write_tables(tables: Tables, folder: Path) -> None:
    """Write a CSV file for each table except the curves. `cases.csv` has one row per run, test case and value.

    Equal runs give equal bytes.
    """
    for name in ("results", "summary", "tests", "null_bands", "efficiency"):
        write_table(folder / f"{name}.csv", getattr(tables, name))
    write_corrupted_table(tables.robustness, folder)
    with atomic_path(folder / "cases.csv") as temporary:
        _write_cases(tables.cases, temporary)


class NothingFinishedError(UserError):
    """Reports that no run of an experiment has results to summarise.

    Args:
        unusable: Directories of finished runs whose results cannot be used -> why.
    """

    def __init__(self, unusable: Mapping[Path, str]) -> None:
        reasons = [f"{path}: {reason}" for path, reason in unusable.items()]
        nothing = "no run has finished, so there is nothing to summarise; the runs' run.log files say what happened"
        super().__init__("\n".join([*reasons, nothing]))
        self.unusable = unusable


def _joined(runs: Sequence[FinishedRun], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the runs' frames, with the columns that identify the run."""
    run_of_row = np.repeat(np.arange(len(runs)), [len(frame) for frame in frames])
    identities = pd.DataFrame([run.identity for run in runs], columns=RUN).iloc[run_of_row]
    return pd.concat([identities.reset_index(drop=True), pd.concat(frames, ignore_index=True)], axis=1)


def _long(table: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Convert a table with one column per metric to one row per value, sorted."""
    identity = [*RUN, *keys]
    values = table.melt(identity, var_name="metric").dropna(subset="value")
    return values.sort_values([*identity, "metric"], ignore_index=True)


def _by_metric(values: pd.DataFrame, summarise: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Summarise metric by metric, which bounds the memory for large experiments."""
    metrics = values.columns.difference([*RUN, "case"]).tolist()
    return pd.concat([summarise(_of_metric(values, metric)) for metric in metrics], ignore_index=True)


def _of_metric(values: pd.DataFrame, metric: str) -> pd.DataFrame:
    if metric not in values:
        raise UserError(
            f"{metric}: no run has this score; there are {', '.join(values.columns.difference([*RUN, 'case']))}"
        )
    finite = values[metric].replace([np.inf, -np.inf], np.nan)
    return values[[*RUN, "case"]].assign(metric=metric, value=finite).dropna(subset="value")


def _arm(path: Path) -> str:
    return path.absolute().parts[-4]


def _name(path: Path) -> str:
    arm, fold, seed, labels = path.absolute().parts[-4:]
    return f"{arm} {LabelAmount.from_path(labels)} fold {fold.removeprefix('fold')} seed {seed.removeprefix('seed')}"


def _write_cases(cases: pd.DataFrame, path: Path) -> None:
    """Write one row per value, without building a table of all values, which can be millions."""
    metrics = cases.columns.difference([*RUN, "case"]).tolist()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*RUN, "case", "metric", "value"])
        for run, of_run in cases.groupby(RUN, sort=False):
            for case, *values in zip(of_run["case"], *(of_run[metric].tolist() for metric in metrics), strict=True):
                rows = zip(metrics, values, strict=True)
                writer.writerows([*run, case, metric, value] for metric, value in rows if not isnan(value))
