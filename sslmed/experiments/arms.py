"""What the name of an arm says: `<task>[-external][-2d]`, `baseline[-2d]`, or `null[-<n>][-2d]`."""

import re
from dataclasses import dataclass

BASELINE = "baseline"
NULL = "null"
"""A second baseline with other initial weights: what chance alone does. `null-2` is a third one, and so on."""

EXTERNAL = "-external"
SLICES = "-2d"


@dataclass(frozen=True)
class Arm:
    """One way to train that a figure compares.

    Attributes:
        name: As the user writes it.
        task: `baseline`, `null`, `null-2` and so on, or the pretext task.
        external: Whether pretraining is on an external pool.
        slices: Whether the network is 2-D and sees axial slices of volumes.
    """

    name: str
    task: str
    external: bool
    slices: bool

    @property
    def is_null(self) -> bool:
        """Whether it is a baseline with other initial weights."""
        return re.fullmatch(rf"{NULL}(-[2-9]|-[1-9]\d+)?", self.task) is not None

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from pretrained weights."""
        return self.task != BASELINE and not self.is_null

    @property
    def initial_weights(self) -> int:
        """Which initial weights it starts from: all arms from the same, `null` from the first others, and so on."""
        return int(self.task.removeprefix(NULL).removeprefix("-") or 1) if self.is_null else 0

    @classmethod
    def parse(cls, name: str) -> "Arm":
        """Take a name apart."""
        rest = name.removesuffix(SLICES)
        task = rest.removesuffix(EXTERNAL)
        return cls(name, task, external=task != rest, slices=rest != name)


def baseline_of(arm: str) -> str:
    """Name the arm that an arm is compared with: the one trained from scratch on the same kind of images."""
    return BASELINE + SLICES if Arm.parse(arm).slices else BASELINE


def null_arms(number: int) -> list[str]:
    """Name the first null arms: `null`, `null-2` and so on."""
    return [NULL, *(f"{NULL}-{i}" for i in range(2, number + 1))][:number]
