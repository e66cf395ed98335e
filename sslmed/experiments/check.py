"""Check the configuration of runs before any starts: unknown keys, wrong types, checkpoints that do not fit."""

import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from sslmed import pretext
from sslmed.core.errors import UserError
from sslmed.data.selection import select_pool, select_pretraining, split_store
from sslmed.encoders import Encoder, UNetEncoder, load_encoder
from sslmed.experiments.arms import Arm
from sslmed.experiments.plan import Run
from sslmed.experiments.seen import SeenData
from sslmed.experiments.settings import config_root, read_yaml
from sslmed.experiments.workflow import is_done
from sslmed.learning.distributed import share_size
from sslmed.preparation.readers.dataset import Dataset
from sslmed.pretext import PretextTask
from sslmed.pretext.base import ONE_CASE
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
    runs: Sequence[Run],
    work: Path,
    dataset: Dataset | None,
    pool: Dataset | None,
    source: Dataset | None,
    tasks: Mapping[str, str | None],
    seen: SeenData | None,
) -> None:
    """Parse the configuration of one run of each kind, and load the weights of finished pretraining runs.

    Args:
        runs: The plan. Runs of one arm and stage differ only in numbers.
        work: The experiment's directory.
        dataset: Dataset for fine-tuning; `None` if it does not exist yet, in which case nothing has been pretrained.
        pool: External pool for pretraining, if there is one.
        source: Labelled dataset for pretraining, if there is one.
        tasks: The figure's arms -> YAML of the pretext task, if there is one.
        seen: What runs see of the data, if it is here.

    Raises:
        UserError: If a configuration is not valid, a batch cannot be divided among devices, a pretext task whose
            decoder is to be handed over has none or that compares cases has one case, or a checkpoint does not fit.
    """
    kinds = {(run.arm, run.labels is None): run for run in reversed(runs)}
    settings = {kind: parse(run.arguments) for kind, run in kinds.items()}
    for kind, run in kinds.items():
        share_size(settings[kind].data.init_args.batch_size, run.devices)
        if run.labels is not None and run.needs is None and dataset is not None:
            _check_weights(settings[kind], run, dataset)
    single: dict[str, list[str]] = {}
    for run in runs:
        arm = Arm.parse(run.arm)
        images = source if arm.is_supervised else pool if arm.external else dataset
        if run.labels is not None or images is None:
            continue
        spatial_dims = 2 if arm.slices else images.spatial_dims
        built_from = settings[run.arm, True], spatial_dims, len(images.modalities)
        if seen is not None and not arm.is_supervised:
            numbers = _numbers_of_cases(settings[run.arm, True].data.init_args, run, seen)
            if min(numbers.values()) < 2 and _build_task(*built_from).least_cases > 1:
                counts = ", ".join(f"{number} {name}" for name, number in numbers.items())
                single.setdefault(f"fold {run.fold} has {counts}", []).append(arm.name)
        of_task = arm.hands_over_decoder and not arm.is_supervised
        if of_task and not hasattr(_build_task(*built_from), "decoder"):
            raise UserError(
                f"{arm.name}: {arm.pretext} has no decoder to transfer; tasks of this figure that have one: "
                f"{', '.join(_with_decoder(tasks)) or 'none'}"
            )
        if is_done(work, run):
            handed_over = Path(settings[run.arm, False].model.init_args.pretrained.checkpoint).name
            with contextlib.redirect_stdout(io.StringIO()):
                load_encoder(build_encoder(*built_from), work / run.name / "checkpoints" / handed_over)
    if single:
        found, arms = next(iter(single.items()))
        raise UserError(f"{', '.join(arms)}: compare the 2 or more cases of a batch, but {found}{ONE_CASE}")


def _numbers_of_cases(data: Any, run: Run, seen: SeenData) -> dict[str, int]:  # noqa: ANN401 - a jsonargparse Namespace
    """Return what limits the cases in a batch of pretraining."""
    limits = {"in a batch": int(data.batch_size)}
    if Arm.parse(run.arm).external:
        if seen.pool is None:
            return limits
        selection = select_pool(seen.pool, split_seed=data.split_seed)
    else:
        folds = {"n_folds": data.n_folds, "split_seed": data.split_seed, "final": data.final}
        split = split_store(seen.store, fold=run.fold, **folds)
        selection = select_pretraining(seen.store, split, transductive=data.transductive)
    return {"for training": len(selection.training), "for validation": len(selection.validation)} | limits


def _check_weights(settings: Any, run: Run, dataset: Dataset) -> None:  # noqa: ANN401 - a jsonargparse Namespace
    """Load the weights that fine-tuning starts from, if they are a file's."""
    pretrained = settings.model.init_args.pretrained
    if pretrained.checkpoint is not None:
        spatial_dims = 2 if Arm.parse(run.arm).slices else dataset.spatial_dims
        encoder = build_encoder(settings, spatial_dims, len(dataset.modalities))
        with contextlib.redirect_stdout(io.StringIO()):
            load_encoder(encoder, Path(pretrained.checkpoint), pretrained.adapt_channels, pretrained.key_map)


def parse(arguments: Sequence[str]) -> Namespace:
    """Parse the arguments of a run without building anything.

    Raises:
        UserError: With the parser's message and the YAML file, if they are not valid.
    """
    try:
        main(["fit", *arguments], _ParseOnly)
    except _ParsedError as parsed:
        return parsed.settings
    except UserError as refused:
        raise UserError(f"{_place_of(str(refused), arguments)}: {refused}") from refused
    raise AssertionError("unreachable: the parser either fails or returns settings")


def _place_of(message: str, arguments: Sequence[str]) -> str:
    """Find the last YAML file of a run with all words of an option, and of its value, that a parser refuses."""
    option, _, reason = message.partition(": ")
    words = {*re.findall(r"\w+", option), *re.findall(r"(?<=')\w+(?=')|(?<=got )\w+", reason)}
    files = [value for name, value in pairwise(arguments) if name == "-c" and len(words) > 1]
    found = [file for file in files if words <= {*re.findall(r"\w+", Path(file).read_text(encoding="utf-8"))}]
    return found[-1] if found else "the configuration of a run is not valid"


def _build_task(settings: Any, spatial_dims: int, in_channels: int) -> PretextTask[Any]:  # noqa: ANN401 - a jsonargparse Namespace
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PretextTask, "model")
    model = settings.model.as_dict()
    model["init_args"]["encoder"]["init_args"] |= {"spatial_dims": spatial_dims, "in_channels": in_channels}
    task: PretextTask[Any] = parser.instantiate(parser.parse_object({"model": model})).model
    return task


def _with_decoder(tasks: Mapping[str, str | None]) -> list[str]:
    """Name the arms whose tasks have a decoder, with the tasks' default arguments."""
    models = {arm: read_yaml(config_root() / file).get("model", {}) for arm, file in tasks.items() if file}
    names = {arm: str(model.get("class_path")) for arm, model in models.items()}
    classes = {arm: getattr(pretext, name.rpartition(".")[2], None) for arm, name in names.items()}
    encoder = UNetEncoder(2, 1)
    return [arm for arm, task in classes.items() if task is not None and hasattr(task(encoder), "decoder")]


def build_encoder(settings: Any, spatial_dims: int, in_channels: int) -> Encoder:  # noqa: ANN401 - a jsonargparse Namespace
    """Build the encoder of a run for its images."""
    spec = settings.model.init_args.encoder
    module, _, name = spec.class_path.rpartition(".")
    kind: type[Encoder] = getattr(__import__(module, fromlist=[name]), name)
    return kind(**{**spec.init_args.as_dict(), "spatial_dims": spatial_dims, "in_channels": in_channels})
