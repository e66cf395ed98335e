"""`sslmed robustness`: scores the test cases of a whole experiment under artefacts, the same for every arm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule

from sslmed.core.errors import UserError
from sslmed.core.progress import Advance, progress
from sslmed.evaluation.artefacts import STRENGTHS, Artefact
from sslmed.experiments.plan import Run, read_plan
from sslmed.experiments.workflow import is_done, sole_command
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

    Args:
        work: The experiment's directory.
        artefacts: The artefacts.

    Raises:
        UserError: If there is no experiment, no finished run, or an artefact does not occur in its images.
    """
    if not (work / "plan.json").is_file():
        raise UserError(f"{work}: has no plan.json; give an experiment's directory, as runs/fig3/phantom-quick")
    with sole_command(work):
        runs = [run for run in read_plan(work / "plan.json") if run.labels is not None and is_done(work, run)]
        if not runs:
            raise UserError(f"{work}: no fine-tuning run has finished; `sslmed reproduce` resumes it")
        wanted = {*artefacts}
        todo = [run for run in runs if not wanted <= {*RunDirectory(work / run.name).read_corrupted()["artefact"]}]
        with progress("scoring", len(todo) * len(wanted) * len(STRENGTHS), unit="test sets") as advance:
            for fold in sorted({run.fold for run in todo}):
                _score_fold(work, [run for run in todo if run.fold == fold], artefacts, advance)


def _score_fold(work: Path, runs: Sequence[Run], artefacts: Sequence[Artefact], advance: Advance) -> None:
    """Score the runs of one fold together, so that each image is corrupted once."""
    configs = [str(work / run.name / "config.yaml") for run in runs]
    loaded = [main(["test", "-c", path, "--trainer.enable_progress_bar", "false"], _LoadOnly) for path in configs]
    tables = score_corrupted([(each.trainer, each.model) for each in loaded], loaded[0].datamodule, artefacts, advance)
    for run, table in zip(runs, tables, strict=True):
        RunDirectory(work / run.name).write_corrupted(table)
