"""Mirrors the results of an experiment to Weights & Biases: tables, curves and figure, in one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sslmed.training.wandb.names import group_name
from sslmed.training.wandb.session import Mode, identity_of, never_fatal, session

IDENTITY = ["figure", "dataset", "preset"]
CURVES = {"mean": "", "ci_low": " low", "ci_high": " high"}
"""Column of the summary -> suffix of the name of a curve."""


def log_summary(work: Path, mode: Mode, *, tables: Mapping[str, pd.DataFrame], figure: Path) -> None:
    """Log an experiment's tables by name, and its figure (PNG). Logging it again overwrites the same run.

    The table `summary` also becomes curves of scores and interval ends against `label_fraction`.
    """
    summary = tables["summary"]
    identity = {key: str(summary[key].iloc[0]) for key in IDENTITY}
    with session(
        work,
        mode,
        id=identity_of(work),
        resume=False,
        name="summary",
        group=group_name(*identity.values()),
        job_type="summary",
        tags=list(identity.values()),
        config=identity,
    ) as run:
        if run is None:
            return
        with never_fatal("mirror the tables"):
            _log(run, tables, figure)
        if not run.offline:
            print(f"Weights & Biases: {run.url}")
        else:
            pattern = f"find '{work}' -name 'offline-run-*' -not -path '*.old*'"
            print(f"Weights & Biases: wandb sync $({pattern}) sends what is new")


def _log(run: Any, tables: Mapping[str, pd.DataFrame], figure: Path) -> None:  # noqa: ANN401 - wandb.Run
    import wandb

    run.define_metric("label_fraction", hidden=True)
    run.define_metric("*", step_metric="label_fraction")
    for step, row in enumerate(curve_rows(tables["summary"])):
        run.log(row, step=step)
    contents = {name: table.astype(object).where(table.notna(), None) for name, table in tables.items()}
    logged = {f"tables/{name}": wandb.Table(dataframe=table) for name, table in contents.items()}
    run.log(logged | {"figure": wandb.Image(str(figure))}, step=step + 1)


def curve_rows(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Convert the summary to one row per label fraction.

    Returns:
        `label_fraction`, `n_labels`, and for each metric and arm `<metric>/<arm>[ low| high]`.
    """
    return [
        {"label_fraction": fraction, "n_labels": int(cells["n_labels"].iloc[0])}
        | {
            f"{cell['metric']}/{cell['arm']}{suffix}": cell[column]
            for cell in cells.to_dict("records")
            for column, suffix in CURVES.items()
        }
        for fraction, cells in summary.groupby("label_fraction")
    ]
