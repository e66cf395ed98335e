"""The input of a report: the plan of an experiment, its finished runs, its tables, its prepared data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.experiments.experiment import kept_experiment
from sslmed.experiments.failures import Failure, failures
from sslmed.experiments.finished import read_results
from sslmed.experiments.runs import Run
from sslmed.experiments.sources import PHANTOM
from sslmed.preparation.store import Store
from sslmed.reporting.pretraining import sentences
from sslmed.reporting.styles import ArmStyle, arm_styles
from sslmed.reporting.tables import Tables


@dataclass(frozen=True)
class FinishedExperiment:
    """Reads an experiment from its files.

    Attributes:
        work: The experiment's directory, which holds the run directories.
        runs: The plan.
        tables: What the finished fine-tuning runs found.
    """

    work: Path
    runs: Sequence[Run]
    tables: Tables

    @cached_property
    def records(self) -> dict[Run, dict[str, Any]]:
        """The `results.json` of every finished run."""
        missing = {failure.run for failure in self.missing}
        return {run: read_results(self.work, run) for run in self.runs if run.name not in missing}

    @property
    def pretraining(self) -> dict[Run, dict[str, Any]]:
        """The records of pretraining runs."""
        return {run: record for run, record in self.records.items() if run.labels is None}

    @property
    def finetuning(self) -> dict[Run, dict[str, Any]]:
        """The records of fine-tuning runs."""
        return {run: record for run, record in self.records.items() if run.labels is not None}

    @cached_property
    def missing(self) -> list[Failure]:
        """The runs without usable results."""
        return failures(self.work, self.runs, self.tables.unusable)

    def pretraining_warnings(self, *, losses: bool) -> list[str]:
        """Say which pretraining runs have not learned their task or have collapsed, with or without the losses."""
        return sentences(self.pretraining, self.runs, losses=losses)

    @property
    def arm_styles(self) -> list[ArmStyle]:
        """Styles of all planned arms, also of those without results. Null arms have none, as they are a band."""
        return arm_styles({run.arm for run in self.runs})

    @property
    def arms(self) -> list[str]:
        """Names of all planned arms in the order of tables: null arms come last."""
        drawn = [style.arm.name for style in self.arm_styles]
        return [*drawn, *sorted({run.arm for run in self.runs}.difference(drawn))]

    @property
    def fractions(self) -> list[float]:
        """Planned label fractions, sorted."""
        return [*self.tables.labels.amounts]

    @property
    def figure(self) -> str:
        """Name of the figure."""
        return str(self.tables.summary["figure"].iloc[0])

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(self.tables.summary["dataset"].iloc[0])

    @property
    def preset(self) -> str:
        """Name of the preset."""
        return str(self.tables.summary["preset"].iloc[0])

    @cached_property
    def label_kind(self) -> str:
        """Kind of labels: `map`, `class` or `value`."""
        return kept_experiment(self.work, self.figure).label_kind

    @property
    def is_phantom(self) -> bool:
        """Whether images are synthetic."""
        return PHANTOM in self.dataset.split("+")

    @cached_property
    def metrics(self) -> list[str]:
        """Scores that the figure shows and the runs have, the main one first."""
        found = set(self.tables.summary["metric"])
        return [metric for metric in kept_experiment(self.work, self.figure).metrics if metric in found]

    @property
    def transductive(self) -> bool:
        """Whether pretraining has seen images of test cases."""
        return any(record.get("transductive", False) for record in self.records.values())

    @property
    def frozen(self) -> bool:
        """Whether encoders stay as pretraining, or chance, has left them."""
        return any(record.get("frozen", False) for record in self.finetuning.values())

    @cached_property
    def store(self) -> Store | None:
        """The prepared dataset, if it is still at the path that the runs used."""
        run = next(run for run in self.runs if run.labels is not None)
        try:
            return Store(Path(run.values("--data.store")[0]))
        except UserError:
            return None
