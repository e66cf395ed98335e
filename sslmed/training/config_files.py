"""Checks the YAML files that a command names, so that what is wrong with one is said with its name."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from sslmed.core.errors import UserError
from sslmed.core.files import expand_home
from sslmed.training.own_modules import CONFIG_OPTIONS


def check_config_files(arguments: Sequence[str]) -> None:
    """Check that the files of `-c FILE` and `--config FILE` are YAML mappings. The parser refuses absent ones.

    Args:
        arguments: Arguments of a command such as `sslmed fit`.

    Raises:
        UserError: If one is not.
    """
    split = [part for argument in arguments for part in argument.split("=", 1)]
    for option, value in pairwise(split):
        path = Path(expand_home(value))
        if option in CONFIG_OPTIONS and path.is_file():
            try:
                content = yaml.load(path.read_bytes(), yaml.CSafeLoader)
            except (ValueError, yaml.YAMLError) as error:
                raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
            if not isinstance(content, Mapping):
                raise UserError(f"{path}: expected a mapping of options, got {type(content).__name__}")
