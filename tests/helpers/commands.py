"""The real command, in this process."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from sslmed import cli
from sslmed.experiments.job import do_runs
from sslmed.experiments.plan import Run
from sslmed.experiments.settings import config_root

CONFIGS = config_root()
SMALL = {"model": {"init_args": {"encoder": {"init_args": {"widths": [4, 8], "dropout": 0.1}}}}}

Command = Callable[..., int]


def in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Prepare cases and do the runs of figures here: to start a worker or a job takes longer than all of them."""
    for module in ("sslmed.preparation.prepare", "sslmed.phantoms.files"):
        patch.setattr(f"{module}.run_in_processes", lambda function, items, **_: [function(item) for item in items])
    patch.setattr("sslmed.experiments.filling.run_workflow", _do_all)
    patch.setattr(sys, "path", [*sys.path])  # commands add to it


def _do_all(work: Path, runs: Sequence[Run], **_: object) -> None:
    with contextlib.chdir(work):
        do_runs([*runs])


def exit_status(arguments: list[str]) -> int:
    try:
        cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def run_arguments(kind: str, store: Path, folder: Path) -> list[str]:
    """Options of a small run of 4 updates and 2 validation passes; `kind` is a pretext task or a kind of labels."""
    downstream = kind in ("segmentation", "classification")
    stage = [f"data/{kind}", f"downstream/{kind}"] if downstream else ["data/pretraining", f"pretext/{kind}"]
    small = folder / "small.yaml"
    small.write_text(yaml.safe_dump(SMALL))
    files = [CONFIGS / f"{name}.yaml" for name in ("base", *stage, "encoder/unet")] + [small]
    arguments = [argument for file in files for argument in ("-c", str(file))]
    return [*arguments, "--data.store", str(store), *BUDGET]


BUDGET = ["--data.batch_size", "2", "--data.updates", "4", "--data.validations", "2"]
