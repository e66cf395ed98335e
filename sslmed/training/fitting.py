"""Trains a run, scores its test cases once, and records the results."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning import LightningModule, Trainer

from sslmed.core.errors import RunError
from sslmed.core.text import image_counts
from sslmed.data.datamodule import StoreDataModule
from sslmed.downstream.base import DownstreamTask
from sslmed.encoders.weights_file import read_state
from sslmed.evaluation.learned import warnings
from sslmed.evaluation.metrics import summarise
from sslmed.learning.device_memory import explain_lack_of_memory, forget_earlier_run
from sslmed.learning.distributed import alone, rank
from sslmed.learning.learner import Learner
from sslmed.pretext.base import PretextTask
from sslmed.training.answers import draw_tasks, save_answers
from sslmed.training.callbacks import History
from sslmed.training.provenance import provenance
from sslmed.training.run_directory import RunDirectory
from sslmed.training.scoring import print_scores, score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitting:
    """Holds what a run is made of.

    Attributes:
        trainer: Its trainer.
        model: The pretext or downstream task.
        data: Its data.
        run: Its directory.
        history: Record of validation passes, one of the trainer's callbacks.
        description: Description of the run for tables: figure, dataset, arm, fold and so on.
        selected: Path of the checkpoint that is scored.
    """

    trainer: Trainer
    model: LightningModule
    data: StoreDataModule
    run: RunDirectory
    history: History
    description: Mapping[str, Any]
    selected: Path

    @explain_lack_of_memory()
    def fit(self) -> None:
        """Train, resuming from the last checkpoint if there is one; score the test cases once; write the results.

        The results of a final model, which has no test cases, have no scores.
        """
        self.trainer.strategy.setup_environment()  # connects the ranks; the first one holds the lock now
        forget_earlier_run()
        resumed = self.trainer.strategy.broadcast(self.run.last if self.run.last.is_file() else None)
        if resumed is not None:
            log.info("resuming from %s", resumed)
            read_state(resumed)  # refuses what cannot be resumed
        if not self._is_finetuning:
            log.info("pretraining sees %s", image_counts(self.data.selection.counts))
        self.trainer.fit(self.model, datamodule=self.data, ckpt_path=resumed, weights_only=True)
        self._check_budget()
        results = {
            **self.description,
            "validation": self.history.rows,
            "seconds": round(self.history.seconds, 1),
            "precision": self.trainer.precision,
            **provenance(self.trainer.strategy.root_device),
        }
        if isinstance(self.model, Learner) and self.model.captured is not None:
            results["cuda_graphs"] = self.model.captured.is_recorded
        if isinstance(self.model, DownstreamTask) and self._is_finetuning:
            self._finish_finetuning(self.model, results)
        else:
            self._finish_pretraining(results)

    @property
    def _is_finetuning(self) -> bool:
        """Whether the model is to be used; a final one has no test cases, as has one that is pretrained on labels."""
        return isinstance(self.model, DownstreamTask) and (self.data.final or bool(self.data.selection.test))

    def _check_budget(self) -> None:
        done, budget = self.trainer.global_step, self.data.updates_per_validation * self.data.validations
        if done != budget:
            raise RunError(
                f"{self.run.path}: training stopped after {done} of {budget} updates, so there are no results: runs of "
                "different lengths do not compare; remove the callback that stops it from trainer.callbacks, and "
                "choose another --run_dir"
            )

    def _finish_finetuning(self, model: DownstreamTask, results: dict[str, Any]) -> None:
        results |= {"kind": "finetune", "metrics": {}}
        if self.data.final:
            if rank() == 0:
                self._write(results)
            return
        cases = score(self.trainer, model, self.data, self.selected)
        results["metrics"] = summarise(cases, model.kind)
        if rank() == 0:
            self._back_on_device()
            with alone():
                model.write_examples(self.data.store, cases, self.run.examples)
            self._write(results, cases)
            print_scores("Test cases", results["metrics"])

    def _finish_pretraining(self, results: dict[str, Any]) -> None:
        last = self.history.rows[-1]
        results |= {"kind": "pretrain", "val_loss": last["val/loss"], "chance_loss": last["val/chance_loss"]}
        results |= {"warnings": warnings(last)}
        if rank() == 0:
            for warning in results["warnings"]:
                log.warning("%s", warning)
            self._back_on_device()
            if isinstance(self.model, PretextTask):
                drawn = draw_tasks(self.trainer, answered=True)
                results["answers"] = [each.caption(each.case) for each in drawn]
                save_answers(self.run.answers, [each.picture for each in drawn])
            self._write(results)

    def _back_on_device(self) -> None:
        self.model.to(self.trainer.strategy.root_device)  # the trainer moves the model to the CPU at the end

    def _write(self, results: Mapping[str, Any], cases: pd.DataFrame | None = None) -> None:
        self.run.refuse_changed_data(self.data.seen())
        self.run.finish(results, cases)
        log.info("done: %s", self.run.results)
