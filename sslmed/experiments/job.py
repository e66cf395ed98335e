"""One job of the workflow: runs its training runs one after the other, in one process or in one per device.

Called as `python -m sslmed.experiments.job workflow.json JOB GPUS JOBS_PER_GPU` in the experiment's directory.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from sslmed.core.errors import RunError, UserError
from sslmed.core.gpu_sharing import JOBS_PER_GPU
from sslmed.core.interrupts import Interrupted, interruptible
from sslmed.experiments.devices import check_gpus, free_gpus
from sslmed.experiments.executors.one_process import fit
from sslmed.experiments.runs import Run, read_plan


def do_runs(runs: list[Run], gpus: int = 0) -> bool:
    """Do the runs that are not done, and return whether all are. A failed run does not stop the others.

    `gpus` is the number of GPUs that the job was to have. If they are not there, its runs fail.
    """
    done = [_do(run, gpus) for run in runs]
    return all(done)


def _do(run: Run, gpus: int) -> bool:
    from sslmed.training.run_directory import RunDirectory

    directory = RunDirectory(Path(run.name).absolute())
    if directory.is_done:
        return True
    if run.needs is not None and not RunDirectory(Path(run.needs).absolute()).is_done:
        return False  # the log of the pretraining says why
    directory.path.mkdir(parents=True, exist_ok=True)
    with _output_to(directory.log):
        try:
            check_gpus(gpus)
            if run.devices == 1:
                fit(run)
            else:
                from sslmed.experiments.executors.ranks import fit_on_several_devices  # imports torch

                fit_on_several_devices(run, directory)
        except (UserError, RunError) as error:
            print(error)
        except Exception:  # the other runs continue
            traceback.print_exc()
    return directory.is_done


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    with path.open("a", buffering=1) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


if __name__ == "__main__":
    plan, job, gpus, os.environ[JOBS_PER_GPU] = sys.argv[1:]
    mine = [run for run in read_plan(Path(plan)) if run.job == job]
    try:
        with interruptible(), free_gpus(Path.cwd(), max(run.devices for run in mine)):
            sys.exit(0 if do_runs(mine, int(gpus)) else 1)
    except Interrupted as interruption:
        sys.exit(interruption.status)
