"""Checks the variables of the environment that say which of several processes this is, and how many threads it has."""

import os
import re

from sslmed.core.errors import UserError

LAUNCHED = "TORCHELASTIC_RUN_ID"
"""torchrun sets it, and also the variables of `REQUIRED`."""

REQUIRED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Lightning and wandb take the process to be a later one, which writes nothing, if one of them is not 0."""

NUMBERS = (*REQUIRED, *RANKS, "GROUP_RANK", "NODE_RANK", "SLURM_LOCALID", "SLURM_NODEID")


def check_environment() -> None:
    """Check the variables that launchers, schedulers and users set.

    Raises:
        UserError: If one is not a number where libraries expect one, or the variables contradict each other.
    """
    for name in NUMBERS:
        value = os.environ.get(name, "0")
        if re.fullmatch(r"[0-9]{1,9}", value) is None:
            raise UserError(f"{name}={value!r} in the environment: expected a whole number from 0; unset {name}")
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    if re.fullmatch(r"0*[1-9][0-9]{0,3}(,0*[1-9][0-9]{0,3})*", threads.replace(" ", "")) is None:
        raise UserError(
            f"OMP_NUM_THREADS={threads!r} in the environment: expected a number of threads from 1; set or unset it"
        )
    if LAUNCHED in os.environ:
        _check_launched()
        return
    for name in RANKS:
        if int(os.environ.get(name, "0")) > 0:
            raise UserError(
                f"{name}={os.environ[name]} in the environment marks a later one of several processes, but "
                f"torchrun did not start it: start one process for each run, or unset {name}"
            )


def _check_launched() -> None:
    absent = [name for name in REQUIRED if name not in os.environ]
    if absent:
        raise UserError(
            f"{LAUNCHED} is set in the environment, as by torchrun, but {', '.join(absent)} is not: unset {LAUNCHED}"
        )
    rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if int(rank) >= int(size):
        raise UserError(f"RANK={rank} in the environment must be below WORLD_SIZE={size}; unset both, or use torchrun")


def is_first_process() -> bool:
    """Return whether this process reports: the only one, or the first of those that train one network."""
    return int(os.environ.get("RANK", "0")) == 0
