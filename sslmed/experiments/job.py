"""One job of the workflow: do the runs of one name, one after the other, in one process.

Called as `python -m sslmed.experiments.job plan.json JOB` in the experiment's directory.
"""

import contextlib
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from sslmed.errors import UserError
from sslmed.experiments.devices import a_free_gpu
from sslmed.experiments.plan import Run, read_plan
from sslmed.startup import importing


def do_runs(runs: list[Run]) -> bool:
    """Do those runs that are not done; a failed one does not keep the others from running.

    Returns:
        Whether all are done.
    """
    done = [_do(run) for run in runs]
    return all(done)


def _do(run: Run) -> bool:
    with importing():  # torch sees the GPUs that are visible when it is imported
        from sslmed.lightning_cli import main
    from sslmed.run_directory import RunDirectory

    directory = RunDirectory(Path(run.name).absolute())
    if directory.is_done:
        return True
    directory.path.mkdir(parents=True, exist_ok=True)
    with directory.log.open("a", buffering=1) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            # An orphan of a killed workflow may still be at work here: wait for it. It may even have done the run then.
            main(["fit", *run.arguments, "--wait", "true"])
        except UserError as error:
            print(error, file=log)
        except Exception:  # the other runs go on
            traceback.print_exc()
    return directory.is_done


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """End the whole job: the scheduler announces a kill, and Lightning alone would only end this run, with status 0."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    plan, job = sys.argv[1:]
    with a_free_gpu(Path.cwd()):
        sys.exit(0 if do_runs([run for run in read_plan(Path(plan)) if run.job == job]) else 1)
