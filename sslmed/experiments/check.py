"""Check the configuration of runs before any starts: unknown keys, wrong types, checkpoints that do not fit."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from sslmed import pretext
from sslmed.core.errors import UserError
from sslmed.encoders import UNetEncoder, load_encoder
from sslmed.experiments.arms import Arm
from sslmed.experiments.plan import Run
from sslmed.experiments.settings import config_root, read_yaml
from sslmed.experiments.workflow import is_done
from sslmed.learning.distributed import share_size
from sslmed.preparation.readers.dataset import Dataset
from sslmed.pretext import PretextTask
from sslmed.training.lightning_cli import SSLMedCLI, main


class _ParsedError(Exception):
    def __init__(self, settings: Namespace) -> None:
        super().__init__()
        self.settings = settings


class _ParseOnly(SSLMedCLI):
    """Stops before classes are built, and returns the settings by an exception."""

    def before_instantiate_classes(self) -> NoReturn:
        raise _ParsedError(self.settings)


def check_runs(
    runs: Sequence[Run], work: Path, dataset: Dataset | None, pool: Dataset | None, tasks: Mapping[str, str | None]
) -> None:
    """Parse the configuration of one run of each kind, and load the weights of finished pretraining runs.

    Args:
        runs: The plan. Runs of one arm and stage differ only in numbers.
        work: The experiment's directory.
        dataset: Dataset for fine-tuning; `None` if it does not exist yet, in which case nothing has been pretrained.
        pool: External pool for pretraining, if there is one.
        tasks: The figure's arms -> YAML of the pretext task, if there is one.

    Raises:
        UserError: If a configuration is not valid, a batch cannot be divided among devices, a pretext task whose
            decoder is to be handed over has none, or a checkpoint does not fit.
    """
    kinds = {(run.arm, run.labels is None): run for run in reversed(runs)}
    settings = {kind: parse(run.arguments) for kind, run in kinds.items()}
    for kind, run in kinds.items():
        share_size(settings[kind].data.init_args.batch_size, run.devices)
    for run in runs:
        arm = Arm.parse(run.arm)
        images = pool if arm.external else dataset
        if run.labels is not None or images is None or not (arm.hands_over_decoder or is_done(work, run)):
            continue
        spatial_dims = 2 if arm.slices else images.spatial_dims
        task = _build_task(settings[run.arm, True], spatial_dims, len(images.modalities))
        if arm.hands_over_decoder and not hasattr(task, "decoder"):
            raise UserError(
                f"{arm.name}: {arm.pretext} has no decoder to hand over; tasks of this figure that have one: "
                f"{', '.join(_with_decoder(tasks)) or 'none'}"
            )
        if is_done(work, run):
            with contextlib.redirect_stdout(io.StringIO()):
                load_encoder(task.encoder, work / run.name / "checkpoints" / _handed_over(settings[run.arm, False]))


def parse(arguments: Sequence[str]) -> Namespace:
    """Parse the arguments of a run without building anything.

    Raises:
        UserError: With the parser's message, if they are not valid.
    """
    try:
        main(["fit", *arguments], _ParseOnly)
    except _ParsedError as parsed:
        return parsed.settings
    except UserError as refused:
        raise UserError(f"the configuration of a run is not valid: {refused}") from refused
    raise AssertionError("unreachable: the parser either fails or returns settings")


def _handed_over(finetuning: Any) -> str:  # noqa: ANN401 - a jsonargparse Namespace
    return Path(finetuning.model.init_args.pretrained.checkpoint).name


def _build_task(settings: Any, spatial_dims: int, in_channels: int) -> PretextTask[Any]:  # noqa: ANN401 - a jsonargparse Namespace
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PretextTask, "model")
    model = settings.model.as_dict()
    model["init_args"]["encoder"]["init_args"] |= {"spatial_dims": spatial_dims, "in_channels": in_channels}
    task: PretextTask[Any] = parser.instantiate(parser.parse_object({"model": model})).model
    return task


def _with_decoder(tasks: Mapping[str, str | None]) -> list[str]:
    """Name the arms whose tasks have a decoder, with the tasks' default arguments."""
    names = {arm: read_yaml(config_root() / file)["model"]["class_path"] for arm, file in tasks.items() if file}
    classes = {arm: getattr(pretext, name.rpartition(".")[2], None) for arm, name in names.items()}
    encoder = UNetEncoder(2, 1)
    return [arm for arm, task in classes.items() if task is not None and hasattr(task(encoder), "decoder")]
