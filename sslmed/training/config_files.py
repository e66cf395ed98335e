"""Checks the YAML files that a command names, so that what is wrong with one is said with its name."""

from collections.abc import Mapping, Sequence

import yaml

from sslmed.core.doubled_keys import refuse_doubled_keys
from sslmed.core.errors import UserError
from sslmed.training.own_modules import config_files


def check_config_files(arguments: Sequence[str]) -> None:
    """Check that the files of `-c FILE` and `--config FILE` are YAML mappings without doubled keys.

    The parser refuses absent files.

    Raises:
        UserError: If one is not.
    """
    for path in filter(lambda path: path.is_file(), config_files(arguments)):
        try:
            content = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        except (ValueError, yaml.YAMLError) as error:
            raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
        if not isinstance(content, Mapping):
            raise UserError(f"{path}: expected a mapping of options, got {type(content).__name__}")
        refuse_doubled_keys(path)
