"""Check the configuration of runs before any starts: unknown keys, wrong types, checkpoints that do not fit."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace

from sslmed.core.errors import UserError
from sslmed.encoders import Encoder, load_encoder
from sslmed.experiments.arms import Arm
from sslmed.experiments.plan import Run
from sslmed.experiments.workflow import is_done
from sslmed.learning.distributed import share_size
from sslmed.preparation.readers.dataset import Dataset
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
    runs: Sequence[Run], work: Path, dataset: Dataset | None, pool: Dataset | None, source: Dataset | None
) -> None:
    """Parse the configuration of one run of each kind, and load the weights of finished pretraining runs.

    Args:
        runs: The plan. Runs of one arm and stage differ only in numbers.
        work: The experiment's directory.
        dataset: Dataset for fine-tuning; `None` if it does not exist yet, in which case nothing has been pretrained.
        pool: External pool for pretraining, if there is one.
        source: Labelled dataset for pretraining, if there is one.

    Raises:
        UserError: If a configuration is not valid, a batch cannot be divided among devices, or a checkpoint does not
            fit.
    """
    kinds = {(run.arm, run.labels is None): run for run in reversed(runs)}
    settings = {kind: parse(run.arguments) for kind, run in kinds.items()}
    for kind, run in kinds.items():
        share_size(settings[kind].data.init_args.batch_size, run.devices)
    for kind, run in kinds.items():
        if run.labels is not None and run.needs is None and dataset is not None:
            _check_weights(settings[kind], run, dataset)
    for run in runs:
        arm = Arm.parse(run.arm)
        images = source if arm.is_supervised else pool if arm.external else dataset
        if run.labels is None and images is not None and is_done(work, run):
            spatial_dims = 2 if arm.slices else images.spatial_dims
            encoder = _build_encoder(settings[run.arm, True], spatial_dims, len(images.modalities))
            with contextlib.redirect_stdout(io.StringIO()):
                load_encoder(encoder, work / run.name / "checkpoints" / _handed_over(settings[run.arm, False]))


def _check_weights(settings: Any, run: Run, dataset: Dataset) -> None:  # noqa: ANN401 - a jsonargparse Namespace
    """Load the weights that fine-tuning starts from, if they are a file's."""
    pretrained = settings.model.init_args.pretrained
    if pretrained.checkpoint is not None:
        spatial_dims = 2 if Arm.parse(run.arm).slices else dataset.spatial_dims
        encoder = _build_encoder(settings, spatial_dims, len(dataset.modalities))
        with contextlib.redirect_stdout(io.StringIO()):
            load_encoder(encoder, Path(pretrained.checkpoint), pretrained.adapt_channels, pretrained.key_map)


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


def _build_encoder(settings: Any, spatial_dims: int, in_channels: int) -> Encoder:  # noqa: ANN401 - a jsonargparse Namespace
    spec = settings.model.init_args.encoder
    module, _, name = spec.class_path.rpartition(".")
    kind: type[Encoder] = getattr(__import__(module, fromlist=[name]), name)
    return kind(**{**spec.init_args.as_dict(), "spatial_dims": spatial_dims, "in_channels": in_channels})
