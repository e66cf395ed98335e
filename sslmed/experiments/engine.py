"""How Snakemake is started: nothing in the user's folders, home or environment changes what it does."""

import os
import sys
from importlib import resources
from pathlib import Path

from sslmed.experiments.executors.local import Executor
from sslmed.training.own_modules import WORKING_FOLDER

SNAKEFILE = resources.files("sslmed.experiments") / "Snakefile"


def command(work: Path, executor: Executor) -> list[str]:
    """Return the command that runs the workflow of an experiment's directory."""
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(work)]
    # `none`: Snakemake would look for profiles/default in the working folder, which may be another workflow's.
    start += ["--workflow-profile", "none", *executor.arguments(work), "--keep-going", "--rerun-triggers", "mtime"]
    # results.json is atomic, and sole_command is the lock. Snakemake's own records of both only cause errors after a
    # kill.
    return [*start, "--nolock", "--ignore-incomplete", "--keep-incomplete", "--scheduler", "greedy"]


def environment(work: Path) -> dict[str, str]:
    """Return the environment of Snakemake and its jobs, which run in the experiment's directory."""
    variables = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONSAFEPATH": "1",  # a random.py in the working folder is not Python's
        "XDG_CACHE_HOME": str(work / ".snakemake" / "cache"),  # the home may be read-only
        WORKING_FOLDER: str(Path.cwd()),
    }
    variables.pop("SNAKEMAKE_PROFILE", None)  # a user's own defaults for other workflows
    if "PYTHONPATH" in variables:
        folders = filter(None, variables["PYTHONPATH"].split(os.pathsep))
        variables["PYTHONPATH"] = os.pathsep.join(str(Path(folder).absolute()) for folder in folders)
    return variables
