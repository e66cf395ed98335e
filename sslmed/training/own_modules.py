"""Where modules of the user's own are looked for: beside the YAML files that name them, and in the working folder.

A run keeps these folders in its directory, so that `sslmed predict -c RUN/config.yaml` finds its network later.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from sslmed.core.files import write_text

RECORD = "python_path.txt"


def import_own_modules(arguments: Sequence[str]) -> list[Path]:
    """Let modules be imported from the working folder and from the folders of the YAML files given.

    They come after all else that can be imported, so that nothing is shadowed.

    Args:
        arguments: Of `sslmed fit` and so on, with `-c FILE` or `--config FILE`.

    Returns:
        The folders of YAML files that hold modules.
    """
    folders: list[Path] = []
    split = [part for argument in arguments for part in argument.split("=", 1)]  # --config=FILE
    for option, value in pairwise(split):
        if option in ("-c", "--config"):
            folder = Path(value).absolute().parent
            record = folder / RECORD
            recorded = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
            folders += [each for each in (folder, *map(Path, recorded)) if _has_modules(each) and each not in folders]
    sys.path += [str(each) for each in (*folders, Path.cwd()) if str(each) not in sys.path]
    return folders


def record_own_modules(run: Path, folders: Sequence[Path]) -> None:
    """Keep the folders in a run's directory, if there are any."""
    if folders:
        write_text(run / RECORD, "".join(f"{folder}\n" for folder in folders))


def _has_modules(folder: Path) -> bool:
    return any(folder.glob("*.py")) or any(folder.glob("*/__init__.py"))
