"""Start-up time of the command."""

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Findings, time_in_turn

COMMANDS = ("sslmed --help", "sslmed fit --print_config")


@dataclass(frozen=True)
class Sizes:
    """Sets how often each command runs."""

    repeats: int = 3


SIZES = {"quick": Sizes(), "full": Sizes(repeats=10)}


def measure(sizes: Sizes, folder: Path) -> Findings:
    """Run the commands, in processes of their own."""
    findings = Findings()

    taken = time_in_turn({command: partial(_run, command, folder) for command in COMMANDS}, repeats=sizes.repeats)
    for command, seconds in taken.items():
        findings.add(command, seconds, "s")
    return findings


def _run(command: str, folder: Path) -> None:
    arguments = [sys.executable, "-m", *command.split()]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd=folder)
