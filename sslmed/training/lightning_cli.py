"""`sslmed fit | validate | test | predict`: LightningCLI with one directory per run."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from tqdm.contrib.logging import logging_redirect_tqdm

from sslmed.core.errors import UserError
from sslmed.core.files import check_writable
from sslmed.core.logs import logging_to, silence_libraries
from sslmed.core.memory import keep_freed_memory
from sslmed.core.parsing import separate_config, shield_numbers
from sslmed.core.seeds import derived_seed
from sslmed.data.datamodule import StoreDataModule
from sslmed.downstream.base import RANDOM, DownstreamTask
from sslmed.evaluation.artefacts import Artefact
from sslmed.evaluation.metrics import summarise
from sslmed.learning.distributed import check_processes, rank, world_size
from sslmed.learning.layout import store_channels_last
from sslmed.preparation.readers.dataset import LABELS_OF_TASKS
from sslmed.preparation.recipe import Recipe
from sslmed.pretext.base import PretextTask
from sslmed.training.callbacks import History, IntervalBar, Rehearsal, SeedUpdates
from sslmed.training.checkpoints import checkpoint_callbacks
from sslmed.training.divergence import StopAtDivergence
from sslmed.training.fitting import Fitting
from sslmed.training.given_options import refuse_ignored
from sslmed.training.own_modules import import_own_modules, record_own_modules
from sslmed.training.paths import place_runs, resolve_paths
from sslmed.training.predictions import claim_predictions
from sslmed.training.probes import Probes
from sslmed.training.robustness import print_corrupted, score_corrupted
from sslmed.training.run_directory import RunDirectory
from sslmed.training.run_options import OneLineParser, add_run_options
from sslmed.training.scoring import load_weights, print_scores, score
from sslmed.training.seen import check_handover, record_of, refuse_learned_cases, refuse_trained_cases
from sslmed.training.trainer_options import captures_steps, trainer_options, warn_of_emulation

log = logging.getLogger(__name__)


class SSLMedCLI(LightningCLI):
    """Runs LightningCLI with one directory per run; an interrupted run resumes from its last checkpoint.

    Checkpoints hold no hyper-parameters: `config.yaml` is the record, and `--ckpt_path` could otherwise override the
    command line. Pretrained weights come from `model.pretrained.checkpoint` only.
    """

    datamodule: StoreDataModule
    own_modules: Sequence[Path] = ()
    transductive = False  # whether the pretraining that is handed over has seen test images

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run beside model, data and trainer."""
        add_run_options(parser)
        if "test" in self.subcommands():
            told = "score the test cases under these artefacts instead, and write the run's robustness.csv"
            parser.add_argument("--corrupt", nargs="+", type=Artefact, default=None, help=told)

    @property
    def _selected(self) -> Path:
        """Path of the checkpoint that is scored."""
        return self.run.last if self.settings.select == "last" else self.run.best

    def _checkpoint(self, given: Path | str | None) -> Path:
        return self._selected if given is None else Path(given)

    @property
    def settings(self) -> Namespace:
        """The settings of the subcommand."""
        settings: Namespace = self.config[self.subcommand]
        return settings

    def _set_seed(self) -> None:
        seed = self.settings.seed_everything
        if isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise UserError(f"--seed_everything: expected a whole number from 0 to 2**32 - 1, got {seed}")
        super()._set_seed()

    def before_instantiate_classes(self) -> None:
        """Set threads, memory, devices and seeds before anything is built."""
        resolve_paths(self.settings)
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
        self.run = RunDirectory(self.settings.run_dir)
        if self.subcommand == "fit":
            check_writable(self.run.path, "--run_dir")
        seed, fold = self.settings.seed_everything, self.settings.data.init_args.fold
        torch.manual_seed(derived_seed("weights", seed, fold, self.settings.initial_weights))

    def _parse_ckpt_path(self) -> None:
        """Keep the configuration. LightningCLI would change it to what a checkpoint contains."""

    def _add_instantiators(self) -> None:
        """Skip the dump of every class's configuration, which LightningCLI makes for hyper-parameters."""

    def instantiate_classes(self) -> None:
        """Build model, data and trainer. Channels last is the faster layout for convolutions on CPUs."""
        super().instantiate_classes()
        if isinstance(self.model, DownstreamTask) and self.datamodule.label != LABELS_OF_TASKS[self.model.kind]:
            model, data = type(self.model).__name__, type(self.datamodule).__name__
            raise UserError(f"--model {model} cannot learn from the labels of --data {data}: use {model}Data")
        if self.subcommand != "fit":
            self._note_other_settings()
        if self.settings.channels_last:
            store_channels_last(self.model)
        if self.settings.compile:
            self.model.compile()  # in place: checkpoints stay the same
        warn_of_emulation(self.trainer)
        if self.subcommand == "fit" and captures_steps(self.settings.cuda_graphs, self.trainer, self.model):
            self.model.capture_steps()

    def _note_other_settings(self) -> None:
        differing = self.run.other_settings(self._dump())
        if differing:
            log.warning("%s: settings differ from the run's: %s", self.run.path, "; ".join(differing))

    def _differs_from_run(self) -> bool:
        return bool(self.run.other_settings(self._dump()) or self.run.changed_data(self.datamodule.seen()))

    def _dump(self) -> str:
        dumped: str = self._parser(self.subcommand).dump(self.settings, skip_unset=False, skip_validation=True)
        return dumped

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """Build the trainer with the callbacks of every run."""
        self.history = History(self.run.metrics)
        seeds = SeedUpdates(self.settings.seed_everything, self.datamodule.fold)
        checkpoints = checkpoint_callbacks(self.run, self.model.monitor, self.model.monitor_mode)
        callbacks: dict[str | None, list[Callback]] = {
            "fit": [seeds, Rehearsal(), StopAtDivergence(), *self._probes(), self.history, *checkpoints]
        }
        if isinstance(self.model, DownstreamTask):
            callbacks["predict"] = [self.model.prediction_writer(self.run.path)]
        config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        options = trainer_options(config, self.model, self.run)
        bar = [IntervalBar()] if options["enable_progress_bar"] else []
        try:
            trainer = self._instantiate_trainer(options, [*callbacks.get(self.subcommand, []), *bar])
        except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:
            raise UserError(f"trainer: {' '.join(str(error).split())}") from error
        # Its handler of SIGTERM ends a run with status 0 and, with several ranks, makes them wait for each other.
        trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        return trainer

    def _probes(self) -> list[Callback]:
        if isinstance(self.model, PretextTask):
            return [Probes(self.datamodule, labels=self.settings.probes)]
        if self.settings.probes:
            raise UserError("--probes true is for pretraining; fine-tuning scores its own validation: leave it out")
        return []

    def fit(
        self,
        model: LightningModule,
        datamodule: LightningDataModule,  # noqa: ARG002 - Lightning's signature
        ckpt_path: str | None = None,
        **_: Any,  # noqa: ANN401 - other arguments of Trainer.fit
    ) -> None:
        """Train, resuming from the last checkpoint if there is one; score the test cases once; write the results."""
        if ckpt_path is not None:
            raise UserError(
                f"fit takes no --ckpt_path {ckpt_path}: give --model.pretrained.checkpoint, or --run_dir to resume"
            )
        handed_over = model.pretrained if isinstance(model, DownstreamTask) else RANDOM
        if handed_over.checkpoint is not None:
            accepted = handed_over.transductive
            self.transductive = check_handover(handed_over.checkpoint, self.datamodule, transductive=accepted)
        fitting = Fitting(
            self.trainer, model, self.datamodule, self.run, self.history, self._description(), self._selected
        )
        if rank() > 0:  # only the first process writes
            fitting.fit()
            return
        with self.run.locked(wait=self.settings.wait):
            seen = record_of(self.datamodule, handed_over.checkpoint)
            self.run.begin(self._dump(), seen)
            record_own_modules(self.run.path, self.own_modules)
            Recipe.of_store(self.datamodule.store).save(self.run.recipe)
            with logging_to(self.run.log), self._above_the_bar(), self._mirrored_to_wandb():
                fitting.fit()

    def test(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        """Score the test cases of a run again and print the result. The record of the run does not change."""
        if not isinstance(model, DownstreamTask) or not self.datamodule.selection.test:
            raise UserError(
                f"{self.run.path}: a pretraining run or a final model has no test cases; use `sslmed validate`"
            )
        self.run.require_results("a test")
        refuse_learned_cases(self._checkpoint(ckpt_path), self.datamodule)
        if self.settings.corrupt is not None:
            load_weights(model, self._checkpoint(ckpt_path), self.datamodule.store)
            (rows,) = score_corrupted([(self.trainer, model)], self.datamodule, self.settings.corrupt)
            print_corrupted(rows, model.kind)
            if ckpt_path is None and not self._differs_from_run():
                self.run.write_corrupted(rows)
            else:
                log.warning("%s: is left alone, as weights, settings or data are not the run's", self.run.robustness)
            return
        rows = score(self.trainer, model, self.datamodule, self._checkpoint(ckpt_path))
        print_scores("Test cases", summarise(rows, model.kind))

    def validate(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        """Score the validation cases with the selected checkpoint and print the result."""
        if not self.datamodule.final:
            refuse_trained_cases(self._checkpoint(ckpt_path), self.datamodule)
        load_weights(model, self._checkpoint(ckpt_path), self.datamodule.store)
        (scores,) = self.trainer.validate(model, datamodule=self.datamodule, verbose=False)
        print_scores("Validation cases" + ", which it was trained on" * self.datamodule.final, scores)

    def predict(self, model: LightningModule, ckpt_path: Path | str | None = None, **_: Any) -> None:  # noqa: ANN401
        """Predict test and unlabelled cases, and write the predictions to the run directory."""
        if not isinstance(model, DownstreamTask) or not (self.datamodule.selection.test or self.datamodule.final):
            raise UserError(f"{self.run.path}: a pretraining run cannot predict; give a fine-tuning run")
        if not (self.datamodule.selection.test or self.datamodule.store.unlabelled):
            raise UserError(
                f"{self.run.path}: a final model predicts the unlabelled cases of its store, which has none; give "
                f"others by `sslmed predict --model {self.run.path} --images`"
            )
        self.run.require_results("a prediction")
        checkpoint = self._checkpoint(ckpt_path)
        refuse_learned_cases(checkpoint, self.datamodule)
        load_weights(model, checkpoint, self.datamodule.store)
        others = self.run.other_settings(self._dump())
        is_own = not others and not self.run.changed_data(self.datamodule.seen())
        own = is_own and checkpoint.resolve() == self._selected.resolve()
        cases = (*self.datamodule.selection.test, *self.datamodule.store.unlabelled)
        digests = {case: self.datamodule.store.digests[case] for case in cases}
        with self.run.locked(wait=False):  # another command may predict with another checkpoint
            claim_predictions(self.run.path, model.state_dict(), others, digests, own=own)
            self.trainer.predict(model, datamodule=self.datamodule, return_predictions=False)

    def _description(self) -> dict[str, Any]:
        """Describe the run for tables: figure, dataset, arm, fold and so on."""
        described = {**vars(self._get(self.config_init, "labels")), **self.datamodule.describe()}
        is_probe = isinstance(self.model, DownstreamTask) and self.model.is_probe
        special = {"frozen": is_probe, "transductive": self.transductive}
        return described | {name: True for name, holds in special.items() if holds}

    def _above_the_bar(self) -> AbstractContextManager[None]:
        """Write log lines above the progress bar, where there is one, not at its end."""
        return nullcontext() if self.trainer.progress_bar_callback is None else logging_redirect_tqdm()

    def _mirrored_to_wandb(self) -> AbstractContextManager[None]:
        """Mirror the run to Weights & Biases if requested. The run directory is complete without it."""
        if self.settings.wandb == "disabled" or not self.trainer.is_global_zero:
            return nullcontext()
        from sslmed.training.wandb.mirror import mirrored

        return mirrored(self.run, self.settings.wandb, self.trainer, self.history, self._description())


def main(args: Sequence[str], cli_class: type[SSLMedCLI] = SSLMedCLI) -> SSLMedCLI:
    """Run a LightningCLI subcommand with its options, and return what has run: `model`, `datamodule` and `trainer`.

    Raises:
        UserError: If an option or a file of the user's is not valid.
    """
    silence_libraries()
    args = separate_config(args)
    refuse_ignored(args)
    # Build the parser of this subcommand only: each takes as long to build.
    subcommand = {args[0]: LightningCLI.subcommands()[args[0]]}
    attributes = {"subcommands": staticmethod(lambda: subcommand), "own_modules": import_own_modules(args)}
    cli = type(cli_class.__name__, (cli_class,), attributes)
    try:
        ran: SSLMedCLI = cli(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,  # the run directory keeps the configuration
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=OneLineParser,
            args=shield_numbers(place_runs(args)),
            parser_kwargs={
                "prog": "sslmed",
                "description": "Train, score and apply networks; see also sslmed --help.",
                "allow_abbrev": False,  # `--name a --name b` would lose the first value
            },
        )
    except Exception as error:
        raise _user_error(error) or error from None
    return ran


def _user_error(error: BaseException | None) -> UserError | None:
    """Find the `UserError` of a constructor inside the errors that jsonargparse wraps around it."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
