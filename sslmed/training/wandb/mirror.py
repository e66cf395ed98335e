"""Mirrors one training run to Weights & Biases while it trains: its curves, scores and pictures."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sslmed.core.tables import read_table
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.samples import Sample
from sslmed.downstream.regression import Regression
from sslmed.downstream.segmentation import Segmentation
from sslmed.learning.distributed import alone
from sslmed.pretext.base import PretextTask
from sslmed.training.answers import EXAMPLES, Drawn, draw_tasks, to_numpy, validation_batches
from sslmed.training.callbacks import History
from sslmed.training.pictures import Picture, draw_agreement, draw_confusion, draw_segmentation
from sslmed.training.run_directory import IGNORED_SETTINGS, RunDirectory
from sslmed.training.wandb.names import group_name, run_name
from sslmed.training.wandb.session import Mode, check_account, identity_of, never_fatal, session


@contextmanager
def mirrored(
    directory: RunDirectory, mode: Mode, trainer: Trainer, history: History, description: Mapping[str, Any]
) -> Iterator[None]:
    """Mirror the training that happens inside this context.

    Args:
        directory: Directory of the run, with its configuration.
        mode: `offline` or `online`.
        trainer: Trainer of the run, with model and data; a callback is added to it.
        history: Record of validation passes, including those before an interruption.
        description: Description of the run for tables; it becomes top-level configuration.

    Raises:
        UserError: If the mode is `online` and no key is configured.
    """
    if mode == "online":
        check_account(verify=False)
    config = yaml.load(directory.config.read_text(encoding="utf-8"), yaml.CSafeLoader)
    is_finetuning = "label_fraction" in description
    name = run_name(description) if description["arm"] else directory.path.name
    with session(
        directory.path,
        mode,
        id=_run_id(directory, config),
        resume=True,
        name=name,
        group=group_name(description["figure"], description["dataset"], description["preset"]),
        job_type="finetune" if is_finetuning else "pretrain",
        tags=[str(description[key]) for key in ("figure", "dataset", "preset", "arm") if description[key]],
        # JSON, as wandb writes other types of numbers as text.
        config=_without_folders(config) | json.loads(json.dumps(dict(description))),
    ) as run:
        if run is None:
            yield
            return
        mirror = _Mirror(run, history)
        trainer.callbacks.append(mirror)  # type: ignore[attr-defined]
        yield
        with never_fatal("mirror the results"):
            mirror.catch_up()
            mirror.log_results(json.loads(directory.results.read_text(encoding="utf-8")))
        with never_fatal("draw examples"), alone():
            mirror.log_examples(directory, trainer)


def _run_id(directory: RunDirectory, config: Mapping[str, Any]) -> str:
    """Return an id that a resumed run keeps, and that changes with the settings or with a new directory."""
    settings = {key: value for key, value in config.items() if key not in IGNORED_SETTINGS}
    text = identity_of(directory.path) + json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Mirror(Callback):
    """Logs with the number of the update as W&B's step.

    W&B's steps only increase, and a resumed run starts after the last step on the server. So each call goes through the
    whole history and logs the rows that W&B does not have. Every row is in W&B once.
    """

    def __init__(self, run: Any, history: History) -> None:  # noqa: ANN401 - wandb.Run
        self.run = run
        self.history = history
        with never_fatal("choose the axes"):
            run.define_metric("update", hidden=True)
            run.define_metric("*", step_metric="update")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the network's inputs, then the history of an interrupted run."""
        with never_fatal("draw puzzles"):
            if isinstance(pl_module, PretextTask) and self.run.step == 0:
                self._log(0, {"puzzles": _captioned(draw_tasks(trainer, answered=False), trainer)})
        self.catch_up()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Log the row that `History` has just added."""
        self.catch_up()

    def catch_up(self) -> None:
        """Log all rows of the history that W&B does not have."""
        with never_fatal("mirror a validation pass"):
            next_step = self.run.step
            for row in self.history.rows:
                if row["update"] >= next_step:
                    self._log(int(row["update"]), row)

    def log_results(self, results: Mapping[str, Any]) -> None:
        """Add test scores, cost and the warnings of pretraining to the summary."""
        scores = {f"test/{name}": value for name, value in results.get("metrics", {}).items()}
        cost = {key: results[key] for key in ("seconds", "peak_memory_bytes", "device")}
        warned = {"warnings": "; ".join(results["warnings"])} if results.get("warnings") else {}
        self.run.summary.update(scores | cost | warned)

    def log_examples(self, directory: RunDirectory, trainer: Trainer) -> None:
        """Log pictures of the answers of a finished run."""
        model = trainer.lightning_module
        step = int(self.history.rows[-1]["update"]) + 1
        if isinstance(model, PretextTask):
            self._log(step, {"answers": _captioned(draw_tasks(trainer, answered=True), trainer)})
        elif isinstance(model, Segmentation):
            found = islice(_segmentations(model, validation_batches(trainer)), EXAMPLES)
            self._log(step, {"segmentation": _captioned(found, trainer)})
        elif directory.cases.is_file():
            cases = read_table(directory.cases)
            truth, prediction = cases["truth"].to_numpy(), cases["prediction"].to_numpy()
            if isinstance(model, Regression):
                self._log(step, {"agreement": [(draw_agreement(truth, prediction), "test cases")]})
            else:
                num_classes = len(cases.filter(like="probability_").columns)
                self._log(step, {"confusion": [(draw_confusion(truth, prediction, num_classes), "test cases")]})

    def _log(self, step: int, content: Mapping[str, Any]) -> None:
        import wandb

        logged = {
            key: [wandb.Image(picture, caption=caption) for picture, caption in value]
            if isinstance(value, list)
            else value
            for key, value in content.items()
        }
        self.run.log({"update": step} | logged, step=step, commit=True)


def _segmentations(model: Segmentation, batches: Iterator[Sample]) -> Iterator[Drawn]:
    model.eval()
    for batch in batches:
        images: Tensor = batch["image"].float()
        with torch.no_grad():
            predictions = model.infer(images).argmax(1)
        for case, *arrays in zip(batch["case"], *map(to_numpy, (images, batch["label"], predictions)), strict=True):
            yield Drawn(case, draw_segmentation(*arrays), "image, truth, prediction")


def _captioned(drawn: Iterable[Drawn], trainer: Trainer) -> list[tuple[Picture, str]]:
    """Caption pictures by the number of their case among the validation cases: its id may be a patient's name."""
    data: StoreDataModule = trainer.datamodule  # type: ignore[attr-defined]
    numbers = {case: number for number, case in enumerate(data.selection.validation, 1)}
    return [(each.picture, each.caption(f"validation case {numbers[each.case]}")) for each in drawn]


def _without_folders(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Keep only the last part of absolute paths, whose folders tell users, machines and perhaps patients."""
    if isinstance(value, Mapping):
        return {name: _without_folders(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_folders(each) for each in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
