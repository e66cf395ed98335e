"""A run on several devices: one process per device, started by torchrun's launcher, which Lightning recognises."""

import contextlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from sslmed.core.interrupts import Interrupted, interruptible
from sslmed.experiments.executors.one_process import fit
from sslmed.experiments.runs import Run
from sslmed.learning.distributed import rank
from sslmed.training.run_directory import RunDirectory

Result = TypeVar("Result")


def launch(devices: int, function: Callable[..., Result], *arguments: object) -> dict[int, Result]:
    """Call a function in `devices` processes in parallel. If one fails, the others are stopped.

    Returns:
        Return values by rank.

    Raises:
        ChildFailedError: If a process failed.
        Interrupted: If this process was interrupted. The others were interrupted too.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        with interruptible():  # the launcher changes the handlers of signals, and leaves them so
            results: dict[int, Result] = elastic_launch(config, function)(*arguments)
    except SignalException as signal:
        raise Interrupted(signal.sigval) from signal
    return results


def fit_on_several_devices(run: Run, directory: RunDirectory) -> None:
    """Do a run as `run.devices` processes."""
    with directory.locked(wait=True):
        pass  # wait for an orphan of a killed workflow: the other ranks would time out while the first one waits
    if directory.is_done:
        return
    try:
        launch(run.devices, _fit_rank, run, directory.log)
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        cause = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        print(f"process {number} of {run.devices} failed: {cause}")


def _fit_rank(run: Run, path: Path) -> None:
    with path.open("a", buffering=1) as log, Path(os.devnull).open("w") as nowhere:
        output = log if rank() == 0 else nowhere
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(log):
            fit(run)
