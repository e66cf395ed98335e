"""What the name of an arm says: `<task>[-external][-2d]`, or `baseline[-2d]`."""

from dataclasses import dataclass

BASELINE = "baseline"
EXTERNAL = "-external"
SLICES = "-2d"


@dataclass(frozen=True)
class Arm:
    """One way to train that a figure compares.

    Attributes:
        name: As the user writes it.
        task: `baseline`, or the pretext task.
        external: Whether pretraining is on an external pool.
        slices: Whether the network is 2-D and sees axial slices of volumes.
    """

    name: str
    task: str
    external: bool
    slices: bool

    @classmethod
    def parse(cls, name: str) -> "Arm":
        """Take a name apart."""
        rest = name.removesuffix(SLICES)
        task = rest.removesuffix(EXTERNAL)
        return cls(name, task, external=task != rest, slices=rest != name)


def baseline_of(arm: str) -> str:
    """Name the arm that an arm is compared with: the one trained from scratch on the same kind of images."""
    return BASELINE + SLICES if Arm.parse(arm).slices else BASELINE
