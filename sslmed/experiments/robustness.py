"""`sslmed robustness`: scores the test cases of a whole experiment under artefacts, the same for every arm."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule

from sslmed.core.errors import UserError
from sslmed.core.progress import Advance, progress
from sslmed.evaluation.artefacts import STRENGTHS, Artefact, applicable
from sslmed.experiments.finished import finished_runs
from sslmed.experiments.runs import Run, plan_of
from sslmed.experiments.workflow import sole_command
from sslmed.training.lightning_cli import SSLMedCLI, main
from sslmed.training.robustness import score_corrupted
from sslmed.training.run_directory import RunDirectory
from sslmed.training.scoring import load_weights


class _LoadOnly(SSLMedCLI):
    """Loads a run's network instead of scoring it."""

    def test(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        self.run.refuse_changed_data(self.datamodule.seen())
        load_weights(model, self._checkpoint(ckpt_path), self.datamodule.store)


def score_experiment(work: Path, artefacts: Sequence[Artefact]) -> None:
    """Write the `robustness.csv` of every finished fine-tuning run that does not have these artefacts yet.

    Raises:
        UserError: If there is no experiment, no finished run, or an artefact does not occur in its images.
    """
    plan_of(work)  # before a lock is written
    with sole_command(work):
        runs = finished_runs(work)
        if not runs:
            raise UserError(f"{work}: no fine-tuning run has finished; `sslmed reproduce` resumes it")
        missing = {run: _missing(work, run, artefacts) for run in runs}
        todo = [run for run in runs if missing[run]]
        with progress("scoring", len(STRENGTHS) * sum(map(len, missing.values())), unit="test sets") as advance:
            for fold in sorted({run.fold for run in todo}):
                _score_fold(work, {run: missing[run] for run in todo if run.fold == fold}, advance)


def _missing(work: Path, run: Run, artefacts: Sequence[Artefact]) -> list[Artefact]:
    scored = {*RunDirectory(work / run.name).read_corrupted()["artefact"]}
    return [artefact for artefact in dict.fromkeys(artefacts) if artefact not in scored]


def _score_fold(work: Path, missing: Mapping[Run, Sequence[Artefact]], advance: Advance) -> None:
    """Score the runs of one fold together, so that each image is corrupted once. Write after each artefact."""
    options = ["--trainer.enable_progress_bar", "false"]
    loaded = {run: main(["test", "-c", str(work / run.name / "config.yaml"), *options], _LoadOnly) for run in missing}
    data = next(iter(loaded.values())).datamodule
    for artefact in applicable([*chain.from_iterable(missing.values())], data.store.spatial_dims):
        runs = [run for run in missing if artefact in missing[run]]
        networks = [(loaded[run].trainer, loaded[run].model) for run in runs]
        tables = score_corrupted(networks, data, [artefact], advance)
        for run, table in zip(runs, tables, strict=True):
            RunDirectory(work / run.name).write_corrupted(table)
