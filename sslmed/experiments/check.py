"""Check the configuration of runs before any starts: unknown keys, wrong types, checkpoints that do not fit."""

import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from sslmed import pretext
from sslmed.core.errors import UserError
from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.data.selection import select_pool, select_pretraining, split_store
from sslmed.encoders import Encoder, UNetEncoder, load_encoder
from sslmed.encoders.checkpoint import load_decoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.experiments.arms import DECODER, Arm
from sslmed.experiments.configs import config_root
from sslmed.experiments.finished import is_done
from sslmed.experiments.inputs import Inputs
from sslmed.experiments.overridden import refuse_overridden
from sslmed.experiments.places import Places
from sslmed.experiments.runs import Run
from sslmed.experiments.seen import SeenData
from sslmed.learning.distributed import share_size
from sslmed.preparation.readers.dataset import Dataset
from sslmed.pretext import PretextTask
from sslmed.pretext.base import ONE_CASE
from sslmed.training.lightning_cli import SSLMedCLI, main

Tasks = Mapping[str, str | None]
"""A figure's arms -> YAML of the pretext task, if there is one."""


class _ParsedError(Exception):
    def __init__(self, settings: Namespace) -> None:
        super().__init__()
        self.settings = settings


class _ParseOnly(SSLMedCLI):
    """Stops before classes are built, and returns the settings by an exception."""

    def before_instantiate_classes(self) -> NoReturn:
        raise _ParsedError(self.settings)


def check_runs(runs: Sequence[Run], places: Places, inputs: Inputs, tasks: Tasks) -> None:
    """Parse the configuration of one run of each kind, and load the weights of finished pretraining runs.

    Runs of one arm and stage differ only in numbers. Nothing was trained yet on a dataset that is not here.

    Raises:
        UserError: If a configuration is not valid or has settings that would be ignored, a batch cannot be divided
            among devices, a pretext task whose decoder is to be handed over has none or that compares cases has one
            case, or a checkpoint does not fit.
    """
    kinds = {(run.arm, run.labels is None): run for run in reversed(runs)}
    for run in kinds.values():
        refuse_overridden(run)
    settings = {kind: parse(run.arguments) for kind, run in kinds.items()}
    for kind, run in kinds.items():
        share_size(settings[kind].data.init_args.batch_size, run.devices)
        if run.labels is not None and run.needs is None and inputs.dataset is not None:
            _check_weights(settings[kind], _shape(Arm.parse(run.arm), inputs.dataset))
        if run.labels is None and settings[run.arm, False].model.init_args.pretrained.load == "all":
            _check_decoder(settings[kind], Arm.parse(run.arm), inputs, tasks)
    single: dict[str, list[str]] = {}
    for run in (run for run in runs if run.labels is None):
        arm, of_arm = Arm.parse(run.arm), settings[run.arm, True]
        images = _images(arm, inputs)
        if images is None:
            continue
        shape = _shape(arm, images)
        if places.seen is not None and not arm.is_supervised:
            found = _single_case(of_arm.data.init_args, run, places.seen)
            if found is not None and _build_task(of_arm, shape).least_cases > 1:
                single.setdefault(found, []).append(arm.name)
        if is_done(places.work, run):
            handed_over = Path(settings[run.arm, False].model.init_args.pretrained.checkpoint).name
            with contextlib.redirect_stdout(io.StringIO()):
                load_encoder(build_encoder(of_arm, **shape), places.work / run.name / "checkpoints" / handed_over)
    if single:
        found, arms = next(iter(single.items()))
        raise UserError(f"{', '.join(arms)}: compare the 2 or more cases of a batch, but {found}{ONE_CASE}")


def _images(arm: Arm, inputs: Inputs) -> Dataset | None:
    """Return what an arm is pretrained on; `None` if it is not here."""
    if arm.sees_the_dataset:
        return inputs.dataset
    return inputs.source_dataset if arm.is_supervised else inputs.pool_dataset


def _shape(arm: Arm, images: Dataset) -> dict[str, int]:
    """Return what an encoder must know of the images that an arm sees."""
    return {"spatial_dims": 2 if arm.slices else images.spatial_dims, "in_channels": len(images.modalities)}


def _check_weights(settings: Namespace, shape: Mapping[str, int]) -> None:
    """Load the weights that fine-tuning starts from, if they are a file's."""
    pretrained = settings.model.init_args.pretrained
    if pretrained.checkpoint is not None:
        path, encoder = Path(pretrained.checkpoint), build_encoder(settings, **shape)
        with contextlib.redirect_stdout(io.StringIO()):
            load_encoder(encoder, path, pretrained.adapt_channels, pretrained.key_map)
            if pretrained.load == "all":
                load_decoder(UNetDecoder(encoder, 1), path, pretrained.key_map)


def _check_decoder(settings: Namespace, arm: Arm, inputs: Inputs, tasks: Tasks) -> None:
    """Refuse to hand over a decoder that pretraining does not have."""
    images = _images(arm, inputs)
    if images is None:
        return
    cure = f"take {arm.name.replace(DECODER, '')}" if arm.hands_over_decoder else "set pretrained.load to encoder"
    if arm.is_supervised and images.labels != "map":
        found = f"{images.root} has no label maps, so its pretraining has no decoder to transfer"
        raise UserError(f"{arm.name}: {found}: {cure}")
    if not arm.is_supervised and not hasattr(_build_task(settings, _shape(arm, images)), "decoder"):
        raise UserError(
            f"{arm.name}: {arm.pretext} has no decoder to transfer; tasks of this figure that have one: "
            f"{', '.join(_with_decoder(tasks)) or 'none'}{'' if arm.hands_over_decoder else f'; or {cure}'}"
        )


def _single_case(data: Namespace, run: Run, seen: SeenData) -> str | None:
    """Say what limits a batch of pretraining to a single case; `None` if nothing does."""
    limits = {"in a batch": int(data.batch_size)}
    selection = None
    if not Arm.parse(run.arm).external:
        folds = {"n_folds": data.n_folds, "split_seed": data.split_seed, "final": data.final}
        split = split_store(seen.store, fold=run.fold, **folds)
        selection = select_pretraining(seen.store, split, transductive=data.transductive)
    elif seen.pool is not None:
        selection = select_pool(seen.pool, split_seed=data.split_seed)
    if selection is not None:
        cases = {"for training": len(selection.training), "for validation": len(selection.validation)}
        limits = cases | limits
    counts = ", ".join(f"{number} {use}" for use, number in limits.items())
    return f"fold {run.fold} has {counts}" if min(limits.values()) < 2 else None


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
    words = {*re.findall(r"\w+", option), *re.findall(r"(?<=')\w+(?=')|(?<=got )\w+|(?<=no class )\w+", reason)}
    files = [value for name, value in pairwise(arguments) if name == "-c" and len(words) > 1]
    found = [file for file in files if words <= {*re.findall(r"\w+", Path(file).read_text(encoding="utf-8"))}]
    return found[-1] if found else "the configuration of a run is not valid"


def _build_task(settings: Namespace, shape: Mapping[str, int]) -> PretextTask[Any]:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PretextTask, "model")
    model = settings.model.as_dict()
    model["init_args"]["encoder"]["init_args"] |= shape
    task: PretextTask[Any] = parser.instantiate(parser.parse_object({"model": model})).model
    return task


def _with_decoder(tasks: Tasks) -> list[str]:
    """Name the arms whose tasks have a decoder, with the tasks' default arguments."""
    contents = {arm: [read_yaml(config_root() / file)] for arm, file in tasks.items() if file}
    names = {arm: str(find_setting(content, "model.class_path", None)) for arm, content in contents.items()}
    classes = {arm: getattr(pretext, name.rpartition(".")[2], None) for arm, name in names.items()}
    encoder = UNetEncoder(2, 1)
    return [arm for arm, task in classes.items() if task is not None and hasattr(task(encoder), "decoder")]


def build_encoder(settings: Namespace, spatial_dims: int, in_channels: int) -> Encoder:
    """Build the encoder of a run for its images."""
    spec = settings.model.init_args.encoder
    module, _, name = spec.class_path.rpartition(".")
    kind: type[Encoder] = getattr(import_module(module), name)
    return kind(**{**spec.init_args.as_dict(), "spatial_dims": spatial_dims, "in_channels": in_channels})
