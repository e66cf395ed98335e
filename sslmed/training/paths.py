"""Paths in the settings of a run: `~` is the home directory, and a record holds for every working directory."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from sslmed.core.errors import UserError
from sslmed.core.files import expand_home
from sslmed.training.run_directory import RunDirectory


def resolve_paths(settings: Any) -> Any:  # noqa: ANN401 - any setting
    """Expand `~` in all settings, and make those of type `Path` absolute. A `Namespace` is changed in place."""
    if isinstance(settings, Namespace | dict):
        content = vars(settings) if isinstance(settings, Namespace) else settings
        content.update({name: resolve_paths(value) for name, value in content.items()})
        return settings
    if isinstance(settings, list | tuple):
        return type(settings)(map(resolve_paths, settings))
    expanded = expand_home(settings)
    return Path(os.path.abspath(expanded)) if isinstance(expanded, Path) else expanded  # noqa: PTH100 - without links


def place_runs(arguments: Sequence[str]) -> list[str]:
    """Add `--run_dir` after each `-c RUN/config.yaml`: a run is where its config.yaml is, also if it was moved.

    Later options take precedence, as always.

    Raises:
        UserError: If they name several runs.
    """
    placed: list[str] = []
    runs: set[Path] = set()
    for earlier, argument in zip(["", *arguments], arguments, strict=False):
        placed.append(argument)
        run = RunDirectory(Path(os.path.abspath(expand_home(argument))).parent)  # noqa: PTH100
        if earlier == "-c" and Path(argument).name == run.config.name and run.log.is_file():
            placed += ["--run_dir", str(run.path)]
            runs.add(run.path)
    if len(runs) > 1:
        raise UserError(f"-c: expected the configuration of one run, got those of {', '.join(map(str, sorted(runs)))}")
    return placed
