"""Refuses options of a run that would be ignored, given alone, in a mapping as text, or in a file."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from sslmed.core.errors import UserError
from sslmed.core.yaml_files import read_mapping, read_yaml
from sslmed.training.own_modules import config_files
from sslmed.training.run_options import FROM_DATA, LINKS

OF_FIT = ("cuda_graphs", "initial_weights", "labels", "probes", "trainer.devices", "wait", "wandb")
"""Options that change how a run trains or what it is called, beside pretrained weights."""

CHECKPOINT = "model.pretrained.checkpoint"
OF_CHECKPOINT = tuple(
    f"model.pretrained.{name}" for name in ("adapt_channels", "key_map", "layer_decay", "load", "transductive")
)
"""Options that say how a checkpoint is used. A preset may have them for all arms, also for those without one."""


def refuse_ignored(args: Sequence[str]) -> None:
    """Refuse options that would be ignored.

    Args:
        args: Arguments of a command such as `sslmed fit`, the command first, with `-c FILE`.

    Raises:
        UserError: If one always follows from another one, is for `fit` alone and the command is another one, or says
            how a checkpoint is used and none is given.
    """
    in_files: list[str] = []
    for path in config_files(args):
        content = read_mapping(path) if path.is_file() else str(path)  # may be text; the parser refuses absent files
        in_file = [*_options(content, "", path.parent)]
        _refuse_linked(f"{path}: ", in_file)
        in_files += in_file
    given = [*_on_command_line(args)]
    _refuse_linked("--", given)
    if args[0] != "fit":
        _refuse_options_of_fit(given)
    elif CHECKPOINT not in (*given, *in_files) and (without := [name for name in OF_CHECKPOINT if name in given]):
        raise UserError(f"--{without[0]}: has no effect without --{CHECKPOINT}; give both")


def _on_command_line(args: Sequence[str]) -> Iterator[str]:
    for argument, following in zip(args, [*args[1:], ""], strict=True):
        option, assigned, value = argument.partition("=")
        if option.startswith("--"):
            yield from _options(value if assigned else following, option.removeprefix("--"), Path())


def _options(content: Any, place: str, folder: Path) -> Iterator[str]:  # noqa: ANN401 - any YAML
    """List an option and those within its value, as `data` and `data.seed` in `{data: {init_args: {seed: 3}}}`.

    Args:
        content: Its value. That of `data`, `model` and so on may be the name of a file.
        place: Its name.
        folder: Folder of relative names of files.
    """
    place = _plain(place)
    yield place
    if isinstance(content, str) and place in _GROUPS:
        with suppress(OSError, yaml.YAMLError):  # the parser refuses it
            content = yaml.safe_load(content)
            if isinstance(content, str) and (path := folder / content).is_file():
                content, folder = read_yaml(path), path.parent
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _options(value, f"{place}.{key}", folder)


def _plain(name: str) -> str:
    return name.replace(".init_args", "").replace(".dict_kwargs", "").removeprefix(".")


_SOURCES = {_plain(target): _plain(source) for source, target in (*LINKS.items(), *FROM_DATA.items())}
_GROUPS = {"", *(name.rpartition(".")[0] for name in _SOURCES), "model"}


def _refuse_linked(where: str, given: Iterable[str]) -> None:
    """Refuse an option that another one sets: jsonargparse would ignore it."""
    for name in given:
        if name in _SOURCES:
            raise UserError(f"{where}{name} always follows from {_SOURCES[name]}, and would be ignored; leave it out")


def _refuse_options_of_fit(given: Iterable[str]) -> None:
    for name in given:
        if name.startswith("model.pretrained."):
            raise UserError(f"--{name}: is for fit; here the weights are the run's own: give --ckpt_path for others")
        if name in OF_FIT or name.partition(".")[0] in OF_FIT:
            raise UserError(f"--{name}: is for fit, and would be ignored here; leave it out")
