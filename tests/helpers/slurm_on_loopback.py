"""A real SLURM of one node on the loopback interface, in a directory of its own, for the time of a test."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol")

# Nothing that needs privileges, control groups or accounting. Jobs get little time between SIGTERM and SIGKILL.
SLURM_CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def absent_programs() -> list[str]:
    """Programs of SLURM and munge that are not installed."""
    return [name for name in PROGRAMS if _which(name) is None]


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@contextmanager
def slurm_on_loopback(folder: Path) -> Iterator[dict[str, str]]:
    """Start munge and SLURM, as the present user, and end them with all their jobs.

    Yields:
        Environment variables by which SLURM's commands find it; `/etc/slurm` is not touched.
    """
    controller_port, node_port = _free_ports(2)
    host = socket.gethostname().split(".")[0]
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    conf = folder / "slurm.conf"
    conf.write_text(
        SLURM_CONF.format(folder=folder, host=host, user=user, controller_port=controller_port, node_port=node_port)
    )
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    # Snakemake's plugin takes SLURM_CONF from the srun within a job.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {_which("srun")} "$@"\n')
    srun.chmod(0o755)
    environment = {"SLURM_CONF": str(conf), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    munge_files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    with ExitStack() as stack:
        munge = [
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/munge.socket",
            *munge_files,
        ]
        stack.enter_context(_daemon(folder, munge))
        _wait_until(folder, (folder / "munge.socket").exists, "munge.socket")
        stack.enter_context(_daemon(folder, ["slurmctld", "-D", "-c", "-f", str(conf)]))
        stack.enter_context(_daemon(folder, ["slurmd", "-D", "-f", str(conf)]))
        _wait_until(folder, lambda: "idle" in ask(environment, "sinfo", "--noheader", "--format=%T"), "an idle node")
        try:
            yield environment
        finally:
            ask(environment, "scancel", "--user", user)
            _wait_until(folder, lambda: not ask(environment, "squeue", "--noheader"), "an empty queue")


def ask(environment: dict[str, str], *command: str) -> str:
    """What a command of SLURM prints; nothing where it fails."""
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False).stdout


@contextmanager
def _daemon(folder: Path, command: list[str]) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("w") as output:
        process = subprocess.Popen([_which(command[0]), *command[1:]], stdout=output, stderr=output, cwd=folder)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_until(folder: Path, condition, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        logs = "\n".join(path.read_text() for path in folder.glob("*.out"))
        assert time.monotonic() < deadline, f"{what} did not appear:\n{logs}"
        time.sleep(0.2)
