"""Refuses settings in YAML files that the command and the preset set for each run, as these take precedence."""

from itertools import pairwise
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.yaml_files import read_yaml, settings_in
from sslmed.experiments.configs import config_root
from sslmed.experiments.runs import Run

CHANGED = ("model.pretrained.", "select")
"""Settings of files that options such as `--finetuning frozen` and `--final` are there to change."""

AMOUNTS = {"data.label_fraction", "data.n_labels"}
"""Of which one is set."""


def refuse_overridden(run: Run) -> None:
    """Refuse a file of the user's own with a setting that is not that of a run.

    Raises:
        UserError: If there is one.
    """
    pairs = [*pairwise(run.arguments)]
    options = {option.removeprefix("--") for option, _ in pairs if option.startswith("--")}
    for path in (Path(value) for option, value in pairs if option == "-c"):
        if path.is_relative_to(config_root()):
            continue
        for name in settings_in(read_yaml(path)):
            if (name in options or name in AMOUNTS) and not name.startswith(CHANGED):
                raise UserError(
                    f"{path}: {name} is set by options of the command or by preset.yaml, and would be ignored; "
                    "leave it out, and give it there"
                )
