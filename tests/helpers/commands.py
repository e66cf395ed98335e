"""The real command, in this process or in another one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from sslmed import cli
from sslmed.experiments.configs import config_root
from sslmed.experiments.job import do_runs
from sslmed.experiments.runs import Run

CONFIGS = config_root()
TINY = Path(__file__).parents[1] / "experiments" / "tiny"
"""A preset that is as small as it gets."""

ENCODERS = {
    "unet": {"widths": [4, 8], "dropout": 0.1},
    "residual": {
        **{"features_per_stage": [4, 6, 8], "n_blocks_per_stage": [1, 2, 1]},
        **{"strides": [1, [1, 2, 2], 2], "kernel_sizes": [3, [1, 3, 3], 3]},
    },
    "densenet": {"block_config": [1, 1], "growth_rate": 2, "init_features": 4},
}
BUDGET = ("--data.batch_size", "2", "--data.updates", "4", "--data.validations", "2")

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


def exit_status(*arguments: object) -> int:
    """Do a command in this process."""
    try:
        cli.main([str(each) for each in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def places(folder: Path) -> list[str]:
    """Options that keep what `sslmed reproduce` writes below a folder."""
    return [f"--{name}={folder / name}" for name in ("runs", "out", "downloads")]


def reproduce(folder: Path, figure: str, *options: object) -> int:
    """Reproduce a figure below a folder, in this process."""
    return exit_status("reproduce", figure, *places(folder), *options)


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start to reproduce the tiny figure 3 below a folder, whose file `output` has what the command prints."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "sslmed", "reproduce", "fig3", "--preset", str(TINY), *places(folder), *options]
    with (folder / "output").open("ab") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env=os.environ | environment
        )


def work_of(folder: Path) -> Path:
    """The runs of the tiny figure 3 that was reproduced below a folder."""
    return folder / "runs" / "fig3" / "phantom-tiny"


def results_of(folder: Path) -> Path:
    """Its tables and figures."""
    return folder / "out" / "fig3" / "phantom-tiny"


def run_arguments(kind: str, store: Path, folder: Path, encoder: str = "unet", data: str = "pretraining") -> list[str]:
    """Options of a small run of 4 updates and 2 validation passes; `kind` is a pretext task or a kind of labels."""
    downstream = kind in ("segmentation", "classification", "regression")
    stage = [f"data/{kind}", f"downstream/{kind}"] if downstream else [f"data/{data}", f"pretext/{kind}"]
    small = folder / f"{encoder}.yaml"
    small.parent.mkdir(parents=True, exist_ok=True)
    small.write_text(yaml.safe_dump({"model": {"init_args": {"encoder": {"init_args": ENCODERS[encoder]}}}}))
    files = [CONFIGS / f"{name}.yaml" for name in ("base", *stage, f"encoder/{encoder}")] + [small]
    arguments = [argument for file in files for argument in ("-c", str(file))]
    return [*arguments, "--data.store", str(store), *BUDGET]


def kill_after(update: int, patch: pytest.MonkeyPatch) -> None:
    """Make runs raise an error at the end of the first validation interval after an update."""
    from sslmed.training.callbacks import History

    record = History.on_train_epoch_end

    def stop(self: History, trainer, module) -> None:
        if trainer.global_step > update:
            raise RuntimeError("killed")
        record(self, trainer, module)

    patch.setattr(History, "on_train_epoch_end", stop)


def fit(kind: str, store: Path, run: Path, *options: str, encoder: str | None = None) -> Path:
    """Train a run of a kind of labels, or of a pretext task, and return its directory."""
    encoder = encoder or ("densenet" if kind in ("classification", "regression") else "unet")
    arguments = run_arguments(kind, store, run.parent, encoder)
    assert exit_status("fit", *arguments, "--run_dir", run, *options) == 0
    return run
