"""`sslmed fit | validate | test | predict`: LightningCLI with one directory per run."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import pandas as pd
import torch
from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from rich.console import Console
from rich.table import Table
from tqdm.contrib.logging import logging_redirect_tqdm

# Lightning finds classes by their bare names once their modules are imported.
from sslmed import downstream, encoders, pretext
from sslmed.core.doubled_keys import refuse_doubled_keys
from sslmed.core.errors import UserError
from sslmed.core.logs import logging_to, silence_libraries
from sslmed.core.memory import keep_freed_memory
from sslmed.core.parsing import one_line
from sslmed.core.seeds import derived_seed
from sslmed.data import finetuning, pretraining  # noqa: F401
from sslmed.data.datamodule import StoreDataModule
from sslmed.downstream.base import DownstreamTask
from sslmed.encoders.weights_file import read_state
from sslmed.evaluation.metrics import summarise
from sslmed.learning.distributed import check_processes, rank, world_size
from sslmed.preparation.recipe import Recipe
from sslmed.training.answers import draw_tasks, save_answers
from sslmed.training.callbacks import History, IntervalBar, SeedUpdates
from sslmed.training.own_modules import config_files, import_own_modules, record_own_modules
from sslmed.training.provenance import provenance
from sslmed.training.run_directory import RunDirectory
from sslmed.training.trainer_options import checkpoint_callbacks, trainer_options

log = logging.getLogger(__name__)

LABELS = {
    "label_values": "label_values",
    "region_classes": "regions",
    "num_classes": "num_classes",
    "target_mean": "target_mean",
    "target_scale": "target_scale",
}
"""Arguments of a model that are set from the labels: attribute of the data -> argument of the model, if it has one."""

Wandb = Literal["disabled", "offline", "online"]
Selection = Literal["last", "best"]


@dataclass
class RunLabels:
    """Names a run in tables and figures.

    Args:
        figure: The experiment of the run, e.g. `fig3`.
        dataset: Name of the dataset in tables.
        preset: Name of the preset.
        arm: `baseline` or the pretext task.
        key: Fingerprint of all settings, set by `sslmed reproduce`.
    """

    figure: str = ""
    dataset: str = ""
    preset: str = ""
    arm: str = ""
    key: str = ""


class OneLineParser(LightningArgumentParser):
    """Says what is wrong in one line, with the nearest valid name."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message.

        Raises:
            UserError: Always.
        """
        if not self.exit_on_error:  # it reads a part of the options, for another parser
            super().error(message, ex)
        parsers = [self, *(self._subcommands_action._name_parser_map.values() if self._subcommands_action else [])]
        options = [option for parser in parsers for action in parser._actions for option in action.option_strings]
        classes = [name for room in (pretext, downstream, encoders) for name in room.__all__]
        raise UserError(one_line(message, options, classes)) from ex


class SSLMedCLI(LightningCLI):
    """Runs LightningCLI with one directory per run; an interrupted run resumes from its last checkpoint.

    Checkpoints hold no hyper-parameters: `config.yaml` is the record, and `--ckpt_path` could otherwise override the
    command line. Pretrained weights come from `model.pretrained.checkpoint` only.
    """

    datamodule: StoreDataModule
    own_modules: Sequence[Path] = ()

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run beside model, data and trainer, and link options that must agree."""
        parser.add_argument("--run_dir", type=Path, required=True, help="directory for everything that the run writes")
        parser.add_argument("--threads", type=int, default=1, help="torch threads on CPU; results depend on it")
        parser.add_argument("--channels_last", type=bool, default=True, help="store features with channels last")
        parser.add_argument(
            "--compile", type=bool, default=False, help="compile the network; takes a minute at the start"
        )
        parser.add_argument("--keep_memory", type=bool, default=True, help="keep freed memory: faster on CPU")
        parser.add_argument("--wandb", type=Wandb, default="disabled", help="mirror the run to Weights & Biases")
        parser.add_argument("--select", type=Selection, default="last", help="checkpoint that is scored")
        parser.add_argument(
            "--initial_weights",
            type=NonNegativeInt,
            default=0,
            help="another number gives other initial weights and changes nothing else",
        )
        parser.add_argument("--wait", type=bool, default=False, help="wait if another process is writing run_dir")
        parser.add_class_arguments(RunLabels, "labels")
        parser.link_arguments("seed_everything", "data.init_args.seed")
        parser.link_arguments("data.init_args.validations", "trainer.max_epochs")
        parser.link_arguments("data.init_args.crop_size", "model.init_args.crop_size")
        for name in ("spatial_dims", "in_channels"):
            parser.link_arguments(f"data.{name}", f"model.init_args.encoder.init_args.{name}", apply_on="instantiate")
        for source, target in LABELS.items():
            parser.link_arguments(f"data.{source}", f"model.init_args.{target}", apply_on="instantiate")

    @property
    def _selected(self) -> Path:
        """Path of the checkpoint that is scored."""
        return self.run.last if self.settings.select == "last" else self.run.best

    @property
    def settings(self) -> Namespace:
        """The settings of the subcommand."""
        settings: Namespace = self.config[self.subcommand]
        return settings

    def before_instantiate_classes(self) -> None:
        """Set threads, memory, devices and seeds before anything is built."""
        torch.set_num_threads(self.settings.threads)
        # Useful only for finding bugs, and slow on a GPU.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if self.settings.keep_memory:
            keep_freed_memory()
        trainer = self.settings.trainer
        if self.subcommand != "fit":
            trainer.devices = 1  # even if fit used several
        elif trainer.devices == "auto":
            trainer.devices = world_size()
        check_processes(trainer.devices)
        if self.subcommand != "fit" and "pretrained" in self.settings.model.init_args:
            self.settings.model.init_args.pretrained.checkpoint = None  # the run's own checkpoint has all weights
        self.run = RunDirectory(self.settings.run_dir.absolute())
        seed, fold = self.settings.seed_everything, self.settings.data.init_args.fold
        torch.manual_seed(derived_seed("weights", seed, fold, self.settings.initial_weights))

    def _parse_ckpt_path(self) -> None:
        """Keep the configuration. LightningCLI would change it to what a checkpoint contains."""

    def _add_instantiators(self) -> None:
        """Skip the dump of every class's configuration, which LightningCLI makes for hyper-parameters."""

    def instantiate_classes(self) -> None:
        """Build model, data and trainer. Channels last is the faster layout for convolutions on CPUs."""
        super().instantiate_classes()
        if self.settings.channels_last:
            layout = {2: torch.channels_last, 3: torch.channels_last_3d}[self.datamodule.spatial_dims]
            self.model.to(memory_format=layout)  # features take the layout of the weights
        if self.settings.compile:
            self.model.compile()  # in place: checkpoints stay the same

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """Build the trainer with the callbacks of every run."""
        self.history = History(self.run.metrics)
        checkpoints = checkpoint_callbacks(self.run, self.model.monitor, self.model.monitor_mode)
        callbacks: dict[str | None, list[Callback]] = {
            "fit": [SeedUpdates(self.settings.seed_everything, self.datamodule.fold), self.history, *checkpoints],
        }
        if isinstance(self.model, DownstreamTask):
            callbacks["predict"] = [self.model.prediction_writer(self.run.path)]
        config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        options = trainer_options(config, self.model, self.run)
        bar = [IntervalBar()] if options["enable_progress_bar"] else []
        return self._instantiate_trainer(options, [*callbacks.get(self.subcommand, []), *bar])

    def fit(
        self,
        model: LightningModule,
        datamodule: LightningDataModule,
        ckpt_path: str | None = None,
        **_: Any,  # noqa: ANN401 - other arguments of Trainer.fit
    ) -> None:
        """Train, resuming from the last checkpoint if there is one; score the test cases once; write the results."""
        if ckpt_path is not None:
            msg = f"fit takes no --ckpt_path {ckpt_path}: give --model.pretrained.checkpoint, or --run_dir to resume"
            raise UserError(msg)
        if rank() > 0:  # only the first process writes
            self._fit(model, datamodule)
            return
        with self.run.locked(wait=self.settings.wait):
            self.run.begin(self._parser("fit").dump(self.settings, skip_unset=False, skip_validation=True))
            record_own_modules(self.run.path, self.own_modules)
            Recipe.of_store(self.datamodule.store).save(self.run.recipe)
            with logging_to(self.run.log), self._above_the_bar(), self._mirrored_to_wandb():
                self._fit(model, datamodule)

    def _fit(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        self.trainer.strategy.setup_environment()  # connects the ranks; the first one holds the lock now
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()  # an earlier run of this process may have used more
        resumed = self.trainer.strategy.broadcast(self.run.last if self.run.last.is_file() else None)
        if resumed is not None:
            log.info("resuming from %s", resumed)
        self.trainer.fit(model, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
        results = {
            **self._description(),
            "validation": self.history.rows,
            "seconds": round(self.history.seconds, 1),
            **provenance(self.trainer.strategy.root_device),
        }
        if isinstance(model, DownstreamTask):
            cases = self._score(self._selected)
            results |= {"kind": "finetune", "metrics": summarise(cases, model.kind)}
            if rank() == 0:
                model.to(self.trainer.strategy.root_device)  # the trainer moves the model to the CPU at the end
                model.write_examples(self.datamodule.store, cases, self.run.examples)
        else:
            cases = None
            last = self.history.rows[-1]
            results |= {"kind": "pretrain", "val_loss": last["val/loss"], "chance_loss": last["val/chance_loss"]}
            if rank() == 0:
                model.to(self.trainer.strategy.root_device)
                pictures, results["answers"] = zip(*draw_tasks(self.trainer, answered=True), strict=True)
                save_answers(self.run.answers, pictures)
        if rank() == 0:
            self.run.finish(results, cases)
            if cases is not None:
                _print_table("Test cases", results["metrics"])
            log.info("done: %s", self.run.results)

    def test(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        """Score the test cases of a run again and print the result. The run directory does not change."""
        if not isinstance(model, DownstreamTask):
            msg = f"{self.run.path}: a pretraining run has no test cases; use `sslmed validate`"
            raise UserError(msg)
        scores = summarise(self._score(self._selected if ckpt_path is None else Path(ckpt_path)), model.kind)
        _print_table("Test cases", scores)

    def validate(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        """Score the validation cases with the selected checkpoint and print the result."""
        self._load(self._selected if ckpt_path is None else Path(ckpt_path))
        (scores,) = self.trainer.validate(model, datamodule=self.datamodule, verbose=False)
        _print_table("Validation cases", scores)

    def predict(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        """Predict test and unlabelled cases, and write the predictions to the run directory."""
        if not isinstance(model, DownstreamTask):
            msg = f"{self.run.path}: a pretraining run cannot predict; give a fine-tuning run"
            raise UserError(msg)
        self._load(self._selected if ckpt_path is None else Path(ckpt_path))
        self.trainer.predict(model, datamodule=self.datamodule, return_predictions=False)

    def _score(self, checkpoint: Path) -> pd.DataFrame:
        """Test a checkpoint; returns one row of scores per test case."""
        self._load(checkpoint)
        self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        return pd.DataFrame(self.model.test_rows).sort_values("case", ignore_index=True)

    def _load(self, checkpoint: Path) -> None:
        try:
            self.model.load_state_dict(read_state(checkpoint))
        except RuntimeError as error:
            msg = f"{checkpoint}: does not fit {type(self.model).__name__}: {error}"
            raise UserError(msg) from error

    def _description(self) -> dict[str, Any]:
        """Describe the run for tables: figure, dataset, arm, fold and so on."""
        return {**vars(self._get(self.config_init, "labels")), **self.datamodule.describe()}

    def _above_the_bar(self) -> AbstractContextManager[None]:
        """Write log lines above the progress bar, where there is one, not at its end."""
        return nullcontext() if self.trainer.progress_bar_callback is None else logging_redirect_tqdm()

    def _mirrored_to_wandb(self) -> AbstractContextManager[None]:
        """Mirror the run to Weights & Biases if requested. The run directory is complete without it."""
        if self.settings.wandb == "disabled" or not self.trainer.is_global_zero:
            return nullcontext()
        from sslmed.training.wandb.mirror import mirrored

        return mirrored(self.run, self.settings.wandb, self.trainer, self.history, self._description())


def _print_table(title: str, scores: Mapping[str, float]) -> None:
    table = Table("metric", "value", title=title)
    for name, value in scores.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)


def main(args: Sequence[str], cli_class: type[SSLMedCLI] = SSLMedCLI) -> None:
    """Run a LightningCLI subcommand.

    Args:
        args: Subcommand and options, as after `sslmed`.
        cli_class: Class that parses and runs them.

    Raises:
        UserError: If an option or a file of the user's is not valid.
    """
    silence_libraries()
    for file in config_files(args):
        refuse_doubled_keys(file)
    # Build the parser of this subcommand only: each takes as long to build.
    subcommand = {args[0]: LightningCLI.subcommands()[args[0]]}
    attributes = {"subcommands": staticmethod(lambda: subcommand), "own_modules": import_own_modules(args)}
    cli = type(cli_class.__name__, (cli_class,), attributes)
    try:
        cli(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,  # the run directory keeps the configuration
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=OneLineParser,
            args=list(args),
            parser_kwargs={"prog": "sslmed", "description": "Train, score and apply networks; see also sslmed --help."},
        )
    except Exception as error:
        raise _user_error(error) or error from None


def _user_error(error: BaseException | None) -> UserError | None:
    """Find the `UserError` of a constructor inside the errors that jsonargparse wraps around it."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
