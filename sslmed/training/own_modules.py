"""Imports the user's own modules, from the folders of YAML files and the working folder.

A run records these folders in its directory, so that `sslmed predict -c RUN/config.yaml` finds its network later.
"""

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from sslmed.core.files import expand_home, write_text

RECORD = "python_path.txt"
WORKING_FOLDER = "SSLMED_WORKING_FOLDER"
"""Environment variable: the working folder of the command that started a job, which runs in another one."""


def import_own_modules(arguments: Sequence[str]) -> list[Path]:
    """Add the working folder and the folders of the given YAML files to the import path.

    They are added at the end, so that they shadow no other module.

    Args:
        arguments: Arguments of a command such as `sslmed fit`, with `-c FILE`.

    Returns:
        The folders of YAML files that contain modules.
    """
    folders: list[Path] = []
    for file in config_files(arguments):
        folder = file.absolute().parent
        record = folder / RECORD
        recorded = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
        folders += [each for each in (folder, *map(Path, recorded)) if _has_modules(each) and each not in folders]
    working = Path(os.environ.get(WORKING_FOLDER, Path.cwd()))
    sys.path += [str(each) for each in (*folders, working) if str(each) not in sys.path]
    return folders


def config_files(arguments: Sequence[str]) -> list[Path]:
    """Return the YAML files that the arguments of a command such as `sslmed fit` name."""
    return [Path(expand_home(value)) for option, value in pairwise(arguments) if option == "-c"]


def record_own_modules(run: Path, folders: Sequence[Path]) -> None:
    """Record the folders in the directory of a run, if there are any."""
    if folders:
        write_text(run / RECORD, "".join(f"{folder}\n" for folder in folders))


def _has_modules(folder: Path) -> bool:
    return any(folder.glob("*.py")) or any(folder.glob("*/__init__.py"))
