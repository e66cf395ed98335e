"""One job of an experiment, timed: how long its runs take for training and for everything else.

Called as `python timed_job.py plan.json JOB OUT.json`; it does the job and writes the seconds of each part to OUT.json.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

from sslmed.core.startup import importing  # noqa: E402 - importing is timed

with importing():
    from sslmed.training.lightning_cli import SSLMedCLI, main

from pytorch_lightning import Callback, LightningModule, Trainer  # noqa: E402
from pytorch_lightning.profilers import SimpleProfiler  # noqa: E402

from sslmed.experiments.runs import read_plan  # noqa: E402

IMPORT_SECONDS = time.perf_counter() - STARTED

ACTIONS = {
    "run_training_batch": "training",
    "[_TrainingEpochLoop].train_dataloader_next": "data",
    "save_checkpoint": "checkpoints",
}
"""Lightning's names of actions -> ours."""


class Evaluation(Callback):
    """Times validation passes and the scoring of the test cases.

    Attributes:
        seconds: Taken so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Stop the clock."""
        self.seconds += time.perf_counter() - self._start

    on_test_start, on_test_end = on_validation_start, on_validation_end


def time_run(arguments: tuple[str, ...]) -> dict[str, float]:
    """Do a run, and return the seconds of its parts."""
    profiler, evaluation = SimpleProfiler(), Evaluation()

    class TimedCLI(SSLMedCLI):
        def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
            trainer = super().instantiate_trainer(**kwargs, profiler=profiler)
            trainer.callbacks.append(evaluation)  # type: ignore[attr-defined]
            return trainer

    start = time.perf_counter()
    main(["fit", *arguments], TimedCLI)
    total = time.perf_counter() - start
    parts = {part: sum(profiler.recorded_durations[action]) for action, part in ACTIONS.items()}
    parts["evaluation"] = evaluation.seconds
    return {"total": total, **parts, "set-up and the rest": total - sum(parts.values())}


if __name__ == "__main__":
    plan, job, out = sys.argv[1:]
    runs = {run.name: time_run(run.arguments) for run in read_plan(Path(plan)) if run.job == job}
    Path(out).write_text(json.dumps({"import": IMPORT_SECONDS, "runs": runs}))
